package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

class QuantizeCommandTest {
    @TempDir
    Path directory;

    @ParameterizedTest
    @ValueSource(
            strings = {
                "--weights int4",
                "--weights int4 --group 32 --asymmetric --embedding int8",
                "--weights int8",
                "--weights int8 --group 32",
                "--weights int4 --calibrate TEXT --calibrate-tokens 256"
            })
    void theCopyIsSmallerAndGenerates(String options) throws IOException {
        Path text = Files.writeString(directory.resolve("text"), "It was the best of all the old days. ".repeat(200));
        Path out = directory.resolve("out");
        String line =
                "quantize --model " + Cli.NANO + " --out " + out + " --json - " + options.replace("TEXT", "" + text);
        JsonNode json = Cli.run(line.split(" ")).ok().json();

        assertThat(json.get("targetBytes").longValue())
                .isLessThan(json.get("sourceBytes").longValue() * 2 / 3);
        JsonNode config = JsonMapper.shared().readTree(out.resolve("config.json"));
        assertThat(config.get("quantization_config").get("quant_method").stringValue())
                .isEqualTo("compressed-tensors");
        for (String file : new String[] {"tokenizer.json", "generation_config.json", "heads/config.json"}) {
            assertThat(out.resolve(file)).hasSameBinaryContentAs(Cli.NANO.resolve(file));
        }
        assertThat(Cli.run(
                                "generate",
                                "--model",
                                out.toString(),
                                "--prompt",
                                "It was",
                                "--max-new-tokens",
                                "4",
                                "--quiet")
                        .ok()
                        .out())
                .isNotBlank();
        assertThat(Cli.run("model", "--model", out.toString()).ok().out()).contains("weights i32");
        assertThat(Cli.run("quantize", "--model", out.toString(), "--weights", "int4", "--out", directory + "/again")
                        .sentence())
                .contains("quantised already");
    }

    /** Calibration meets such a number before the quantiser of files does. */
    @ParameterizedTest
    @ValueSource(strings = {"", " --calibrate TEXT --calibrate-tokens 64"})
    void aNumberThatCannotBeQuantisedIsRefused(String options) throws IOException {
        Path text = Files.writeString(directory.resolve("text"), "It was the best of all the old days. ".repeat(20));
        // A BF16 NaN in q_proj of the last layer.
        Path model = CheckpointCopy.in(directory)
                .weights(bytes -> {
                    int at = bytes.length - 40_000;
                    bytes[at] = (byte) 0xc0;
                    bytes[at + 1] = 0x7f;
                    return bytes;
                })
                .directory;
        Path out = directory.resolve("out");
        String line = "quantize --model " + model + " --weights int4 --quiet --out " + out
                + options.replace("TEXT", "" + text);
        assertThat(Cli.run(line.split(" ")).sentence()).contains("checkpoint", "NaN");
        assertThat(out).doesNotExist();
    }

    @Test
    void aGgufFileIsRefusedForWhatItIs() throws IOException {
        Path file = Files.write(directory.resolve("m.gguf"), new byte[64]);
        assertThat(Cli.run("quantize", "--model", file.toString(), "--weights", "int4", "--out", directory + "/out")
                        .sentence())
                .contains("m.gguf", "safetensors", "GGUF");
    }
}
