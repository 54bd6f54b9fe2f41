package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every bad option ends in one sentence that names it and its value, exit code 2, and nothing written. */
class BadInputTest {
    private static final String GENERATE = "generate --model NANO --ids 1,2,3 --max-new-tokens 2 --quiet ";
    private static final String PERPLEXITY = "eval perplexity --model NANO --text FILE --quiet ";
    private static final String PASSKEY = "eval passkey --model NANO --quiet ";
    private static final String SCORERS = "eval scorers --model NANO --quiet --out DIR/report ";
    private static final String BENCH = "bench --shape llama-3.2-1b --quiet ";
    private static final String QUANTIZE = "quantize --model NANO --out DIR/q --quiet ";
    private static final String NEEDLE = "needle --quiet ";

    @TempDir
    Path directory;

    static Stream<Arguments> lines() {
        return Stream.of(
                // token ids and prompts
                bad("generate --model NANO --ids 1,5000 --quiet", "5000", "1024"),
                bad("generate --model NANO --ids 1,-1 --quiet", "-1"),
                bad("generate --model NANO --ids 1,x --quiet", "--ids", "'x'"),
                bad("generate --model NANO --ids 1,,2 --quiet", "--ids", "''"),
                bad("generate --model NANO --ids 99999999999 --quiet", "--ids", "99999999999"),
                bad("generate --model NANO --ids EMPTY --quiet", "--ids", "empty"),
                bad("generate --model NANO --prompt EMPTY --quiet", "--prompt", "empty"),
                bad("generate --model NANO --prompt-file DIR/none.txt --quiet", "--prompt-file", "none.txt"),
                bad("generate --model NANO --prompt-file DIR --quiet", "--prompt-file", "directory"),
                bad("generate --model NANO --quiet", "--prompt", "--ids"),
                bad("generate --model NANO --prompt a --ids 1 --quiet", "--prompt", "--ids"),
                bad("generate --prompt a", "--model"),
                // sizes
                bad(GENERATE + "--chunk 0", "--chunk", "0"),
                bad(GENERATE + "--chunk -5", "--chunk", "-5"),
                bad(GENERATE + "--policy streaming --sink -1", "--sink", "-1"),
                bad(GENERATE + "--policy streaming --recent 0", "--recent", "0"),
                bad(GENERATE + "--policy streaming --sink 4 --recent 2", "sink 4", "recent 2", "5"),
                bad(GENERATE + "--policy streaming --sink 2147483647 --recent 2147483647", "2147483647"),
                bad(GENERATE + "--chunk many", "--chunk", "many"),
                bad("generate --model NANO --ids 1 --max-new-tokens 0", "max-new-tokens", "0"),
                bad("generate --model NANO --ids 1 --max-new-tokens -3", "max-new-tokens", "-3"),
                bad("generate --model NANO --ids 1 --max-new-tokens 2147483647 --quiet", "bytes"),
                bad(NEEDLE + "--contexts 0", "--contexts", "0"),
                bad(NEEDLE + "--contexts -512", "--contexts", "-512"),
                bad(NEEDLE + "--contexts 512,512", "--contexts", "twice"),
                bad(NEEDLE + "--contexts 100", "100"),
                bad(NEEDLE + "--contexts 512,2000000000", "2000000000", "bytes"),
                bad(NEEDLE + "--contexts 512 --sink 300 --recent 300", "sink 300", "recent 300", "512"),
                bad(NEEDLE + "--depths 0", "--depths", "0"),
                bad(NEEDLE + "--samples 0", "--samples", "0"),
                bad(NEEDLE + "--needles 11", "--needles", "11"),
                bad(NEEDLE + "--words 0", "--words", "0"),
                bad("chat --model NANO --max-context 0", "--max-context", "0"),
                bad("demo-model --out DIR/demo --context 3", "context", "3"),
                bad("demo-model --out DIR/demo --decoys 4", "decoy", "4"),
                bad(PERPLEXITY + "--context 1", "--context", "1"),
                bad(PERPLEXITY + "--context -8", "--context", "-8"),
                bad(PERPLEXITY + "--context 8 --policy streaming --sink 4 --recent 9", "sink 4", "recent 9", "8"),
                bad(PASSKEY + "--policies full --contexts 0", "--contexts", "0"),
                bad(PASSKEY + "--policies full --contexts 60", "context 60", "too short"),
                bad(PASSKEY + "--policies full --contexts 512,512", "--contexts", "twice"),
                bad(PASSKEY + "--policies full --contexts 512,2000000000", "2000000000", "bytes"),
                bad(PASSKEY + "--policies full --samples 0", "--samples", "0"),
                bad(PASSKEY + "--policies full --needles 11", "--needles", "11"),
                bad(PASSKEY + "--policies full --words 27", "--words", "27"),
                bad(PASSKEY + "--policies duo --heads DIR --fractions 1.5", "--fractions", "1.5"),
                bad(PASSKEY + "--policies duo --heads DIR --fractions NaN", "--fractions", "NaN"),
                bad(PASSKEY + "--policies duo --heads DIR --fractions 0.5,0.5", "--fractions", "twice"),
                bad("plan --shape llama-3-8b --memory 0", "--memory", "'0'"),
                bad("plan --shape llama-3-8b --memory lots", "--memory", "lots", "24GiB"),
                bad("plan --shape llama-3-8b --memory 1GiB", "--memory", "1073741824", "--weights"),
                bad("plan --model NANO --memory 2300000", "memory"),
                bad("plan --shape llama-3-8b --memory 99999999999999999999GiB", "--memory", "size"),
                bad("plan --shape llama-3-8b --memory 24GiB --retrieval 1.5", "--retrieval", "1.5"),
                bad("plan --shape llama-3-8b --memory 24GiB --retrieval NaN", "--retrieval", "NaN"),
                bad("plan --shape llama-3-8b --memory 24GiB --chunk 0", "--chunk", "0"),
                bad("plan --shape llama-3-8b --memory 24GiB --policy streaming --recent 0", "--recent", "0"),
                bad(BENCH + "--depths -1", "--depths", "-1"),
                bad(BENCH + "--depths 5,5", "--depths", "5", "ascending"),
                bad(BENCH + "--depths many", "--depths", "many"),
                bad(BENCH + "--depths 2000000000", "--depths", "2000000000"),
                bad(BENCH + "--prefill 0", "--prefill", "'0'"),
                bad(BENCH + "--prefill 5+", "--prefill", "'5+'"),
                bad(BENCH + "--prefill 999999999+999999999", "--prefill", "999999999"),
                bad(BENCH + "--tokens 0", "--tokens", "0"),
                bad(BENCH + "--repeats 0", "--repeats", "0"),
                bad(BENCH + "--chunk 0", "--chunk", "0"),
                bad(BENCH + "--retrieval 2", "--retrieval", "2"),
                bad(QUANTIZE + "--weights int4 --calibrate FILE --calibrate-tokens 5", "--calibrate-tokens", "5"),
                bad(QUANTIZE + "--weights int4 --calibrate-tokens 500", "--calibrate-tokens", "--calibrate"),
                bad(QUANTIZE + "--weights int4 --calibrate FILE", "--calibrate", "tokens"),
                bad(QUANTIZE + "--weights int4 --calibrate DIR/none.txt", "--calibrate", "none.txt"),
                bad(QUANTIZE + "--weights int4 --group 48", "--group", "48", "128"),
                bad(QUANTIZE + "--weights int4 --group row", "--group", "row"),
                bad(QUANTIZE + "--weights int3", "--weights", "int3"),
                bad(QUANTIZE + "--weights int4 --lm-head f16", "--lm-head", "f16"),
                bad(QUANTIZE + "--weights int4 --lm-head int8", "tie_word_embeddings"),
                bad(QUANTIZE + "--weights int4 --embedding int2", "--embedding", "int2"),
                bad("quantize --model NANO --out DIR/q", "--weights"),
                bad("quantize --model NANO --weights int4", "--out"),
                bad("quantize --model DIR/nowhere --weights int4 --out DIR/q", "nowhere"),
                bad("quantize --model NANO --weights int4 --out DIR --quiet", "not empty"),
                bad("quantize --model NANO --weights int4 --out FILE --quiet", "--out", "file.txt"),
                // names that do not exist: what does is listed
                bad(GENERATE + "--policy nonsense", "nonsense", "full", "duo", "streaming"),
                bad(NEEDLE + "--policies full,nonsense", "nonsense", "full", "duo", "streaming"),
                bad(NEEDLE + "--policies full,full", "--policies", "twice"),
                bad(GENERATE + "--backend nonsense", "nonsense", "cpu-scalar"),
                bad(GENERATE + "--backend cpu --device 1", "Backend cpu", "option 'device'", "threads"),
                bad(GENERATE + "--device second", "--device", "second"),
                bad(GENERATE + "--backend-option activations", "--backend-option", "activations"),
                bad(GENERATE + "--backend-option activations=int3", "activations", "int3", "exact"),
                bad(GENERATE + "--backend-option speed=9", "speed", "threads"),
                bad(GENERATE + "--device 1 --backend-option device=1", "--device", "--backend-option"),
                bad("plan --shape llama-3-8b --memory 24GiB --backend cpu --device 0", "Backend cpu", "'device'"),
                bad(GENERATE + "--kv int3", "--kv", "int3", "f32"),
                bad(GENERATE + "--kv int8/7", "groups of 7"),
                bad(GENERATE + "--policy full --streaming-kv f16", "full", "--streaming-kv"),
                bad(GENERATE + "--prefill-mode sideways", "--prefill-mode", "sideways", "window"),
                bad(GENERATE + "--colour blue", "--colour"),
                bad("sing", "sing"),
                bad("plan --memory 1GiB", "--shape", "--model"),
                bad("plan --shape llama-3-8b --model NANO --memory 1GiB", "--shape", "--model"),
                bad("plan --shape llama-3-8b", "--memory"),
                bad("plan --shape llama-9 --memory 1GiB", "llama-9", "llama-3.2-1b"),
                bad("plan --shape DIR --memory 1GiB", "--shape", "directory"),
                bad("plan --shape FILE --memory 1GiB", "file.txt", "JSON"),
                bad("plan --shape llama-3-8b --memory 24GiB --weights int5", "--weights", "int5", "int4"),
                bad("plan --shape llama-3-8b --memory 24GiB --kv int3", "--kv", "int3", "f16"),
                bad("plan --shape llama-3-8b --memory 24GiB --policy nonsense", "nonsense", "full", "duo"),
                bad("plan --shape llama-3-8b --memory 24GiB --policy duo", "duo", "--retrieval"),
                bad("plan --shape llama-3-8b --memory 24GiB --policy full --retrieval 0.5", "full", "--retrieval"),
                bad("plan --shape llama-3-8b --memory 24GiB --policy full --sink 4", "full", "--sink"),
                bad("bench --quiet", "--shape"),
                bad("bench --shape llama-9", "llama-9", "llama-3-8b"),
                bad(BENCH + "--weights int5", "--weights", "int5", "int4"),
                bad(BENCH + "--kv int3", "--kv", "int3", "f16"),
                bad(BENCH + "--policies nonsense", "nonsense", "full", "duo"),
                bad(BENCH + "--policies full,full", "--policies", "twice"),
                bad(BENCH + "--contenders full", "--contenders", "'full'", "full:f16"),
                bad(BENCH + "--contenders :f16", "--contenders", "':f16'"),
                bad(BENCH + "--contenders full:int3", "--contenders", "'full:int3'", "int8"),
                bad(BENCH + "--contenders full:f16,,duo:int8", "--contenders", "''"),
                bad(BENCH + "--contenders full:f16,duo:int8,full:F16", "--contenders", "full:F16", "twice"),
                bad(BENCH + "--contenders nonsense:f16", "nonsense", "full", "duo"),
                bad(BENCH + "--contenders full:int8/48", "groups of 48", "64"),
                bad(BENCH + "--contenders full:f16,duo:int8 --policies full,duo", "--contenders", "--policies"),
                bad(BENCH + "--contenders full:f16,duo:int8 --kv f16", "--contenders", "leave --kv out"),
                bad(BENCH + "--contenders full:f16,full:int8 --sink 4", "full", "--sink"),
                bad(BENCH + "--policies full --sink 4", "full", "--sink"),
                bad(BENCH + "--policies full --streaming-kv f32", "full", "--streaming-kv"),
                bad(BENCH + "--backend nonsense", "nonsense", "cpu-scalar"),
                bad(BENCH + "--backend cpu --device 0", "Backend cpu", "'device'"),
                bad(BENCH + "--peer nonsense", "nonsense", "llama.cpp", "jlama"),
                bad(BENCH + "--peer jlama --weights int8", "jlama", "int8", "int4"),
                bad(BENCH + "--peer-depth 4096", "--peer-depth 4096", "--peer"),
                bad("eval", "subcommand"),
                bad("eval sing", "sing"),
                bad(PERPLEXITY + "--policy nonsense", "nonsense", "full", "duo", "streaming"),
                bad(PERPLEXITY + "--policy full --recent 3", "full", "--recent"),
                bad("eval perplexity --model NANO", "--text"),
                bad("eval perplexity --text FILE", "--model"),
                // options that nothing honours, or that contradict each other
                bad(GENERATE + "--policy full --sink 1", "full", "--sink"),
                bad(GENERATE + "--policy full --heads all", "full", "--heads"),
                bad(GENERATE + "--policy duo", "duo", "--heads"),
                bad(GENERATE + "--heads all --sparsity 0.5", "--sparsity"),
                bad(GENERATE + "--policy duo --sparsity 0.5", "--sparsity", "--heads"),
                bad(GENERATE + "--heads DIR --sparsity 0.5 --threshold 0.5", "--sparsity", "--threshold"),
                bad(GENERATE + "--heads DIR --sparsity 1.5", "--sparsity", "1.5"),
                bad(GENERATE + "--heads DIR --sparsity NaN", "--sparsity", "NaN"),
                bad(GENERATE + "--heads DIR --mask DIR/mask.tsv", "--heads", "--mask"),
                bad(GENERATE + "--logits", "--logits", "--json"),
                bad(GENERATE + "--top-k 5", "temperature"),
                bad(GENERATE + "--temperature -1", "temperature", "-1"),
                bad(GENERATE + "--temperature 1 --top-p 2", "top-p", "2"),
                bad("chat --model NANO --system hello", "--system", "template"),
                bad(PASSKEY + "--policies nonsense", "nonsense", "full", "duo", "streaming"),
                bad(PASSKEY + "--policies full,full", "--policies", "twice"),
                bad(PASSKEY + "--policies duo", "duo", "--heads"),
                bad(PASSKEY + "--policies duo --fractions 0.5", "--fractions", "--heads"),
                bad(PASSKEY + "--policies full --fractions 0.5", "full", "--fractions"),
                bad(PASSKEY + "--policies duo --heads all --fractions 0.5", "--fractions", "--heads all"),
                bad(PASSKEY + "--policies duo --heads DIR --fractions 0.5 --sparsity 0.5", "--fractions", "--sparsity"),
                bad(PASSKEY + "--policies duo --mask DIR/m.tsv --fractions 0.5", "--fractions", "--mask"),
                bad(SCORERS + "--scorers nonsense", "nonsense", "profiling", "on-the-fly", "random"),
                bad(SCORERS + "--scorers random,random", "--scorers", "twice"),
                bad(SCORERS + "--scorers none", "--scorers none", "--patterns"),
                bad(SCORERS + "--seeds 0", "--seeds", "0"),
                bad(SCORERS + "--fractions 2", "--fractions", "2"),
                bad(SCORERS + "--samples 0", "--samples", "0"),
                bad(SCORERS + "--contexts 100", "context 100", "too short"),
                bad(SCORERS + "--sink 400 --recent 400", "sink 400", "recent 400", "512"),
                // files
                bad(SCORERS + "--patterns DIR/nowhere", "nowhere"),
                bad("eval scorers --model NANO --out FILE", "--out", "file.txt"),
                bad(PASSKEY + "--policies duo --heads DIR/nowhere", "nowhere"),
                bad(PASSKEY + "--policies full --haystack DIR/none.txt", "none.txt"),
                bad(PASSKEY + "--policies full --json DIR/no/such/result.json", "--json", "result.json"),
                bad("eval perplexity --model NANO --text DIR/none.txt", "--text", "none.txt"),
                bad("eval perplexity --model NANO --text DIR", "--text", "directory"),
                bad("eval perplexity --model DIR/nowhere --text FILE", "nowhere"),
                bad(GENERATE + "--heads DIR/nowhere", "nowhere"),
                bad(GENERATE + "--mask DIR/nowhere.tsv", "nowhere.tsv"),
                bad(GENERATE + "--json DIR/no/such/result.json", "--json", "result.json"),
                bad(GENERATE + "--json DIR", "--json", "directory"),
                bad(NEEDLE + "--out FILE/maps", "--out", "maps"),
                bad(NEEDLE + "--out FILE", "--out", "file.txt"),
                bad(NEEDLE + "--haystack DIR/none.txt", "none.txt"),
                bad("demo-model --out FILE", "--out", "file.txt"),
                bad("template --model NANO --messages DIR/none.json", "--messages", "none.json"),
                bad("template --model NANO --messages FILE", "--messages", "JSON"),
                bad("template --model DIR/nowhere --messages FILE", "nowhere"));
    }

    private static Arguments bad(String line, String... named) {
        return arguments(line, List.of(named));
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("lines")
    void isRefusedInASentence(String line, List<String> named) throws IOException {
        Path file = Files.writeString(directory.resolve("file.txt"), "not JSON");
        List<String> args = new ArrayList<>();
        for (String word : line.split(" ")) {
            args.add(word.replace("NANO", Cli.NANO.toString())
                    .replace("DIR", directory.toString())
                    .replace("FILE", file.toString())
                    .replace("EMPTY", ""));
        }
        if (line.startsWith("needle") && !line.contains("--out")) {
            args.addAll(List.of("--out", directory.resolve("maps").toString()));
        }
        assertThat(Cli.run(args.toArray(String[]::new)).sentence()).contains(named);
        assertThat(directory).isDirectoryNotContaining(path -> !path.equals(file));
        assertThat(file).hasContent("not JSON");
    }

    static Stream<Arguments> patterns() {
        String row = "0\t0\t0\t1\n";
        return Stream.of(
                bad(row + row + "0\tNaN\t0\t0\n" + row, "NaN"),
                bad(row + row + "0\t0\t0\n" + row, "full_attention_heads.tsv"),
                bad(row + row + row, "3", "4"),
                bad(("0\t" + row).repeat(4), "5", "4"),
                bad("", "full_attention_heads.tsv"),
                bad(row + row + "0\tone\t0\t0\n" + row, "one"));
    }

    @ParameterizedTest(name = "pattern {index}")
    @MethodSource("patterns")
    void aBadPatternIsRefused(String table, List<String> named) throws IOException {
        Files.writeString(directory.resolve("full_attention_heads.tsv"), table);
        Files.writeString(directory.resolve("config.json"), "{\"sink_size\": 16, \"recent_size\": 64}");
        String sentence = Cli.run(
                        "generate", "--model", Cli.NANO.toString(), "--ids", "1", "--heads", directory.toString())
                .sentence();
        assertThat(sentence).contains(directory.toString()).contains(named);

        Path mask = directory.resolve("full_attention_heads.tsv");
        assertThat(Cli.run("generate", "--model", Cli.NANO.toString(), "--ids", "1", "--mask", mask.toString())
                        .sentence())
                .contains("full_attention_heads.tsv");
    }

    @Test
    void aMaskHoldsOnlyZeroAndOne() throws IOException {
        Path mask = Files.writeString(directory.resolve("mask.tsv"), "0\t0.5\t0\t1\n".repeat(4));
        assertThat(Cli.run("generate", "--model", Cli.NANO.toString(), "--ids", "1", "--mask", mask.toString())
                        .sentence())
                .contains("mask.tsv", "0.5");
    }

    @Test
    void withoutATokenizerTextIsRefusedAndIdsAreNot() {
        Path model = CheckpointCopy.in(directory).delete("tokenizer.json").delete("tokenizer_config.json").directory;
        assertThat(Cli.run("generate", "--model", model.toString(), "--prompt", "It was")
                        .sentence())
                .contains("tokenizer.json", "--ids");
        assertThat(Cli.run("needle", "--model", model.toString(), "--policies", "full", "--out", model + "/maps")
                        .sentence())
                .contains("tokenizer.json");
        assertThat(Cli.run("generate", "--model", model.toString(), "--ids", "1,2", "--max-new-tokens", "3", "--quiet")
                        .ok()
                        .out())
                .matches("\\d+,\\d+,\\d+\\R");
    }

    @Test
    void noCommandAtAllShowsTheUsageOnStandardError() {
        Cli.Result result = Cli.run();
        assertThat(result.code()).isEqualTo(ExitCode.USER_ERROR);
        assertThat(result.out()).isEmpty();
        assertThat(result.err()).contains("Usage: duo", "needle");
    }
}
