package org.duoattention.core.tokenizer;

import java.util.BitSet;
import java.util.HashMap;
import java.util.Map;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonProblems;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.databind.json.JsonMapper;

/**
 * What the native library does not tell about a {@code tokenizer.json}: the size of the vocabulary, which ids are special
 * and which are raw bytes. Read as a stream, since the file of a large model has hundreds of thousands of entries.
 */
final class TokenizerFile {
    private final String origin;
    private final BitSet special = new BitSet();
    private final BitSet rawBytes = new BitSet();
    private final Map<String, Integer> added = new HashMap<>();
    private int maxId = -1;
    private boolean byteFallback;

    private TokenizerFile(String origin) {
        this.origin = origin;
    }

    /**
     * Reads a {@code tokenizer.json}.
     *
     * @param origin where the text comes from, for messages
     */
    static TokenizerFile read(String origin, String json) {
        TokenizerFile file = new TokenizerFile(origin);
        try (JsonParser parser = JsonMapper.shared().createParser(json)) {
            file.readRoot(parser);
        } catch (JacksonException e) {
            throw file.malformed("it is not JSON at " + JsonProblems.where(e));
        }
        if (file.maxId < 0) {
            throw file.malformed("it has no vocabulary (model.vocab)");
        }
        return file;
    }

    int vocabSize() {
        return maxId + 1;
    }

    BitSet special() {
        return special;
    }

    /** Ids of {@code <0xNN>} tokens, empty unless the decoder joins them to text. */
    BitSet rawBytes() {
        return byteFallback ? rawBytes : new BitSet();
    }

    /** Id by text of the added tokens. */
    Map<String, Integer> added() {
        return added;
    }

    DuoException malformed(String why) {
        return new DuoException(
                origin + " is not a tokenizer that can be read (" + why
                        + "); take the file from the checkpoint again, or give token ids with --ids, which needs no tokenizer.");
    }

    private void readRoot(JsonParser parser) {
        if (parser.nextToken() != JsonToken.START_OBJECT) {
            throw malformed("it is not a JSON object");
        }
        while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
            String name = parser.currentName();
            JsonToken value = parser.nextToken();
            if (name.equals("added_tokens") && value == JsonToken.START_ARRAY) {
                while (parser.nextToken() == JsonToken.START_OBJECT) {
                    readAdded(parser);
                }
            } else if (name.equals("model") && value == JsonToken.START_OBJECT) {
                readModel(parser);
            } else if (name.equals("decoder") && value == JsonToken.START_OBJECT) {
                readDecoder(parser);
            } else {
                parser.skipChildren();
            }
        }
    }

    private void readAdded(JsonParser parser) {
        int id = -1;
        String content = "";
        boolean isSpecial = false;
        while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
            String name = parser.currentName();
            JsonToken value = parser.nextToken();
            if (name.equals("id")) {
                id = readId(parser, value);
            } else if (name.equals("content") && value == JsonToken.VALUE_STRING) {
                content = parser.getString();
            } else if (name.equals("special")) {
                isSpecial = value == JsonToken.VALUE_TRUE;
            } else {
                parser.skipChildren();
            }
        }
        if (id >= 0) {
            maxId = Math.max(maxId, id);
            added.put(content, id);
            special.set(id, isSpecial);
        }
    }

    private void readModel(JsonParser parser) {
        while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
            String name = parser.currentName();
            JsonToken value = parser.nextToken();
            if (name.equals("vocab") && value == JsonToken.START_OBJECT) {
                while (parser.nextToken() == JsonToken.PROPERTY_NAME) {
                    String token = parser.currentName();
                    entry(token, readId(parser, parser.nextToken()));
                }
            } else if (name.equals("vocab") && value == JsonToken.START_ARRAY) {
                readUnigram(parser);
            } else {
                parser.skipChildren();
            }
        }
    }

    /** Unigram models list pairs of token and score; the id is the place in the list. */
    private void readUnigram(JsonParser parser) {
        int id = 0;
        while (parser.nextToken() == JsonToken.START_ARRAY) {
            String token = parser.nextToken() == JsonToken.VALUE_STRING ? parser.getString() : "";
            entry(token, id++);
            while (parser.nextToken() != JsonToken.END_ARRAY) {
                if (parser.currentToken() == null) {
                    throw malformed("model.vocab ends early");
                }
                parser.skipChildren();
            }
        }
    }

    private void readDecoder(JsonParser parser) {
        int depth = 1;
        while (depth > 0) {
            JsonToken token = parser.nextToken();
            if (token == null) {
                throw malformed("its decoder ends early");
            } else if (token.isStructStart()) {
                depth++;
            } else if (token.isStructEnd()) {
                depth--;
            } else if (token == JsonToken.VALUE_STRING
                    && "type".equals(parser.currentName())
                    && parser.getString().equals("ByteFallback")) {
                byteFallback = true;
            }
        }
    }

    private void entry(String token, int id) {
        maxId = Math.max(maxId, id);
        if (token.length() == 6 && token.startsWith("<0x") && token.endsWith(">")) {
            rawBytes.set(id);
        }
    }

    /** Ids are untrusted: they size the bit sets, so an absurd one is refused before it costs memory. */
    private int readId(JsonParser parser, JsonToken value) {
        if (value == JsonToken.VALUE_NUMBER_INT) {
            long id = parser.getLongValue();
            if (id >= 0 && id < 1 << 26) {
                return (int) id;
            }
            throw malformed("it has the token id " + id + "; expected 0 to " + ((1 << 26) - 1));
        }
        throw malformed("it has a token id that is not a whole number");
    }
}
