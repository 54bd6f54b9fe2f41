package org.duoattention.identify.text;

import java.util.List;

/**
 * The vocabulary of the generated text. None of its words is an ordinal or belongs to the NATO alphabet, from which
 * needles are made, in any inflection.
 */
final class Words {
    static final List<String> PEOPLE = lines("""
            the old man|the young woman|her father|his mother|the gardener|the doctor|the captain|my sister|the miller
            the teacher|a tall stranger|the carpenter|their neighbour|the little girl|the boy|the baker|my aunt|the clerk
            the postman|an old friend|the shepherd|the widow|the innkeeper|her brother|his uncle|the ferryman|the cook
            the schoolmaster|a young soldier|the lady of the house|the fisherman|the clockmaker|the painter|Mr. Hall
            Mrs. Brown|Miss Grey|Mr. Cole|Anna|Thomas|Mary|Mr. Lane|Mrs. Field|Edward|Jane|old Mr. Marsh|Ellen
            """);

    static final List<String> THINGS = lines("""
            letter|basket|lamp|chair|box|key|book|coat|boat|cart|ladder|bell|bowl|candle|blanket|bridge|gate|wall|map|bag
            picture|knife|kettle|clock|table|window|bottle|bench|cup|wheel|rope|hammer|needle case|stone|stick|hat|glove
            fence|lantern|barrel|drawer|mirror|carpet|shelf|saddle|spade|trunk|purse|umbrella|flute|plate|pear tree
            """);

    static final List<String> QUALITIES = lines("""
            small|large|old|new|heavy|broken|wooden|green|red|blue|white|black|plain|narrow|wide|dusty|empty|warm|cold
            polished|painted|forgotten|simple|handsome|crooked|quiet|bright|grey|yellow|strange|useful|familiar|worn
            """);

    /** Transitive verbs: plain form, past. */
    static final List<String> ACTS = lines("""
            carry:carried|mend:mended|find:found|open:opened|lift:lifted|clean:cleaned|sell:sold|buy:bought|hide:hid
            keep:kept|leave:left|bring:brought|take:took|paint:painted|watch:watched|describe:described|draw:drew
            borrow:borrowed|lose:lost|drop:dropped|move:moved|cover:covered|examine:examined|notice:noticed|want:wanted
            choose:chose|send:sent|show:showed|hold:held|forget:forgot|remember:remembered|break:broke|wash:washed
            """);

    /** Intransitive verbs: plain form, past. */
    static final List<String> MOVES = lines("""
            wait:waited|sit down:sat down|walk:walked|stand still:stood still|sleep:slept|rest:rested|work:worked
            stay:stayed|laugh:laughed|listen:listened|linger:lingered|read:read|sing:sang|stop:stopped|arrive:arrived
            """);

    static final List<String> PLACES = lines("""
            by the river|in the garden|on the bridge|near the church|in the kitchen|at the end of the lane|behind the house
            under the oak|on the hill|in the market|beside the fire|at the window|in the yard|near the mill|on the stairs
            in the next village|by the sea|on the road|in the old library|at the station|under the roof|in the orchard
            beyond the fields|in front of the door|at the harbour|in the workshop|across the valley|on the other side
            """);

    static final List<String> TIMES = lines("""
            in the morning|after dinner|that evening|the next day|before sunrise|at noon|late in the autumn|last winter
            on the same afternoon|towards midnight|for a moment|during the summer|a week later|soon after|all that day
            when the rain was over|just before tea|on market days|in the spring|a little after ten|not long ago
            """);

    static final List<String> MANNERS = lines("""
            slowly|quietly|with great care|without a word|as usual|in a hurry|with a smile|very gently|once more
            with both hands|at last|almost at once|patiently|to the surprise of everybody|without looking back
            """);

    static final List<String> WEATHER = lines("""
            the wind had dropped|it was raining again|the sun was already low|the snow lay deep|the air was still
            the clouds were moving fast|it was growing dark|the morning was clear and cold|there was a mist over the water
            the evening was mild|the leaves were falling|the moon had not yet risen|the frost was hard|the day was warm
            """);

    static final List<String> THOUGHTS = lines("""
            there was no hurry|it would be better to wait|nothing could be done about it|the way home was long
            somebody had been there before|the matter was settled|it was too late to turn back|things would soon mend
            a promise should be kept|there was enough for everybody|the work was only half done|it was a good beginning
            nobody would believe it|the answer was near at hand|it might be true|they had met before|the price was fair
            """);

    static final List<String> SPEECHES = lines("""
            I have never seen it like this|You must not wait for me|We shall be late|It is only the wind|Let us go inside
            There is nothing to be afraid of|I thought you had gone|Tell me what you saw|That is quite another question
            I will come back before dark|Nobody has been here for years|You are very kind|It was a long time ago
            I should like to see it|We had better ask at the house|That can be mended|Do not say a word about it
            I do not remember|What a pity it is|There is always a way|You will find it where you left it
            """);

    static final List<String> SPEAKING = lines("said|asked|answered|whispered|called|said again|remarked|replied");

    private Words() {}

    private static List<String> lines(String words) {
        return List.of(words.strip().split("\\s*[|\\n]\\s*"));
    }
}
