package org.duoattention.identify.text;

import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.Random;

/**
 * Plain English sentences put together by rule, in paragraphs of two to six. Each paragraph has a person and a thing that
 * it comes back to, so that it reads like a page of a simple story.
 */
final class GeneratedText implements HaystackText {
    private final long seed;

    GeneratedText(long seed) {
        this.seed = seed;
    }

    @Override
    public String name() {
        return "generated";
    }

    @Override
    public Iterator<List<String>> paragraphs(long start) {
        Random random = Seeds.random(seed, start);
        return new Iterator<>() {
            @Override
            public boolean hasNext() {
                return true;
            }

            @Override
            public List<String> next() {
                return new Paragraph(random).sentences();
            }
        };
    }

    /** One paragraph in the making. */
    private static final class Paragraph {
        private final Random random;
        private final String person;
        private final String thing;
        private boolean introduced;

        Paragraph(Random random) {
            this.random = random;
            this.person = pick(Words.PEOPLE);
            this.thing = pick(Words.QUALITIES) + " " + pick(Words.THINGS);
        }

        List<String> sentences() {
            int count = 2 + random.nextInt(5);
            List<String> sentences = new ArrayList<>(count);
            for (int i = 0; i < count; i++) {
                sentences.add(capitalised(sentence()));
            }
            return sentences;
        }

        private String sentence() {
            return switch (random.nextInt(12)) {
                case 0 -> pick(Words.TIMES) + " " + deed() + ", and " + deed() + ".";
                case 1 -> deed() + " " + pick(Words.MANNERS) + ", because " + pick(Words.WEATHER) + ".";
                case 2 ->
                    "when " + somebody() + " " + past(pick(Words.MOVES)) + " " + pick(Words.PLACES) + ", "
                            + pick(Words.WEATHER) + ".";
                case 3 -> "\"" + pick(Words.SPEECHES) + ",\" " + pick(Words.SPEAKING) + " " + somebody() + ".";
                case 4 ->
                    "\"" + pick(Words.SPEECHES) + ",\" " + pick(Words.SPEAKING) + " " + somebody() + ", \"and "
                            + pick(Words.THOUGHTS) + ".\"";
                case 5 -> somebody() + " thought that " + pick(Words.THOUGHTS) + "; but " + deed() + ".";
                case 6 ->
                    "there was " + some() + " " + pick(Words.PLACES) + ", and " + somebody() + " "
                            + past(pick(Words.ACTS)) + " it " + pick(Words.MANNERS) + ".";
                case 7 ->
                    pick(Words.WEATHER) + ", and " + somebody() + " " + past(pick(Words.MOVES)) + " "
                            + pick(Words.PLACES) + " " + pick(Words.TIMES) + ".";
                case 8 ->
                    somebody() + " did not " + plain(pick(Words.ACTS)) + " " + some() + ", although "
                            + pick(Words.THOUGHTS) + ".";
                case 9 -> "it seemed to " + somebody() + " that " + pick(Words.THOUGHTS) + ".";
                case 10 -> deed() + " " + pick(Words.PLACES) + " " + pick(Words.TIMES) + ".";
                default ->
                    somebody() + " would " + plain(pick(Words.MOVES)) + " " + pick(Words.PLACES) + " or "
                            + plain(pick(Words.ACTS)) + " " + some() + ", for " + pick(Words.THOUGHTS) + ".";
            };
        }

        /** Somebody does something to something. */
        private String deed() {
            return somebody() + " " + past(pick(Words.ACTS)) + " " + some();
        }

        private String somebody() {
            return random.nextInt(3) == 0 ? pick(Words.PEOPLE) : person;
        }

        /** The paragraph's thing or another; with the indefinite article when it is mentioned for the first time. */
        private String some() {
            if (random.nextBoolean()) {
                String known = introduced ? "the " + thing : withArticle(thing);
                introduced = true;
                return known;
            }
            String other = pick(Words.QUALITIES) + " " + pick(Words.THINGS);
            return random.nextBoolean() ? withArticle(other) : "the " + other;
        }

        private String pick(List<String> words) {
            return words.get(random.nextInt(words.size()));
        }

        private static String withArticle(String noun) {
            return ("aeiou".indexOf(noun.charAt(0)) >= 0 && !noun.startsWith("useful") ? "an " : "a ") + noun;
        }

        private static String plain(String verb) {
            return verb.substring(0, verb.indexOf(':'));
        }

        private static String past(String verb) {
            return verb.substring(verb.indexOf(':') + 1);
        }

        private static String capitalised(String sentence) {
            int first = sentence.charAt(0) == '"' ? 1 : 0;
            return sentence.substring(0, first)
                    + Character.toUpperCase(sentence.charAt(first))
                    + sentence.substring(first + 1);
        }
    }
}
