package org.duoattention.core.load;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.duoattention.core.DuoException;
import org.duoattention.core.json.JsonProblems;
import org.duoattention.core.json.Quoted;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.StreamReadFeature;
import tools.jackson.core.json.JsonFactory;

/**
 * Parses the JSON header of a safetensors file token by token, so that a large or hostile header costs no more than the
 * entries it really holds.
 */
final class SafetensorsHeader {
    private static final String METADATA = "__metadata__";
    /** Far above any real file; bounds the heap that a hostile header can take. */
    private static final int MAX_TENSORS = 300_000;

    private static final int MAX_NAME_CHARS = 1_000;
    private static final int MAX_RANK = 32;

    private static final JsonFactory JSON = JsonFactory.builder()
            .enable(StreamReadFeature.STRICT_DUPLICATE_DETECTION)
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxNestingDepth(8)
                    .maxNumberLength(40)
                    .maxNameLength(MAX_NAME_CHARS)
                    .build())
            .build();

    private final Path file;
    private final JsonParser parser;
    private final Map<String, TensorHeader> tensors = new LinkedHashMap<>();

    private SafetensorsHeader(Path file, JsonParser parser) {
        this.file = file;
        this.parser = parser;
    }

    /** The entries by tensor name, each checked for itself. */
    static Map<String, TensorHeader> parse(Path file, byte[] header) {
        if (header[0] != '{') {
            throw new DuoException(file + ": its header does not start with '{'; is it a safetensors file?");
        }
        try (JsonParser parser = JSON.createParser(ObjectReadContext.empty(), header)) {
            SafetensorsHeader reader = new SafetensorsHeader(file, parser);
            reader.readAll();
            return reader.tensors;
        } catch (JacksonException e) {
            throw new DuoException(
                    file + ": its header is not valid JSON at " + JsonProblems.where(e) + "; download it again", e);
        }
    }

    private void readAll() {
        expect(parser.nextToken(), JsonToken.START_OBJECT, "the header");
        for (String name = parser.nextName(); name != null; name = parser.nextName()) {
            parser.nextToken();
            if (name.equals(METADATA)) {
                checkMetadata();
                continue;
            }
            TensorHeader tensor = readTensor(name);
            String fault = tensor.fault().orElse(null);
            if (fault != null) {
                throw new DuoException(describe(name) + " " + fault);
            }
            if (tensors.size() == MAX_TENSORS) {
                throw new DuoException(file + ": its header lists more than " + MAX_TENSORS + " tensors");
            }
            tensors.put(name, tensor);
        }
        if (parser.nextToken() != null) {
            throw new DuoException(file + ": its header goes on after the JSON object; download it again");
        }
    }

    private void checkMetadata() {
        expect(parser.currentToken(), JsonToken.START_OBJECT, METADATA);
        while (parser.nextName() != null) {
            expect(parser.nextToken(), JsonToken.VALUE_STRING, METADATA + " value");
        }
    }

    private TensorHeader readTensor(String name) {
        expect(parser.currentToken(), JsonToken.START_OBJECT, "tensor " + Quoted.of(name));
        String type = null;
        long[] shape = null;
        long[] offsets = null;
        for (String key = parser.nextName(); key != null; key = parser.nextName()) {
            JsonToken token = parser.nextToken();
            switch (key) {
                case "dtype" -> {
                    expect(token, JsonToken.VALUE_STRING, "dtype of tensor " + Quoted.of(name));
                    type = Quoted.of(parser.getString());
                }
                case "shape" -> shape = readLongs(token, name, "shape");
                case "data_offsets" -> offsets = readLongs(token, name, "data_offsets");
                default -> parser.skipChildren();
            }
        }
        if (type == null || shape == null || offsets == null || offsets.length != 2) {
            throw new DuoException(
                    describe(name) + " needs a dtype, a shape and two data_offsets in the header; download it again");
        }
        return new TensorHeader(type, shape, offsets[0], offsets[1]);
    }

    private long[] readLongs(JsonToken token, String name, String key) {
        String what = key + " of tensor " + Quoted.of(name);
        expect(token, JsonToken.START_ARRAY, what);
        long[] values = new long[MAX_RANK];
        int count = 0;
        for (JsonToken next = parser.nextToken(); next != JsonToken.END_ARRAY; next = parser.nextToken()) {
            expect(next, JsonToken.VALUE_NUMBER_INT, what);
            JsonParser.NumberType size = parser.getNumberType();
            boolean fits = size == JsonParser.NumberType.INT || size == JsonParser.NumberType.LONG;
            if (!fits || parser.getLongValue() < 0 || count == MAX_RANK) {
                throw new DuoException(file + ": the " + what + " must be at most " + MAX_RANK
                        + " integers from 0 to 2^63-1, not " + Quoted.of(parser.getString()) + " at index " + count);
            }
            values[count++] = parser.getLongValue();
        }
        return Arrays.copyOf(values, count);
    }

    private void expect(@Nullable JsonToken token, JsonToken expected, String what) {
        if (token != expected) {
            throw new DuoException(file + ": its header is malformed: " + what + " is "
                    + (token == null ? "cut off" : token) + ", expected " + expected);
        }
    }

    private String describe(String name) {
        return file + ": tensor " + Quoted.of(name);
    }
}
