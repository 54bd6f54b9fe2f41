package org.duoattention.examples.cli.peer;

import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.model.ModelShape;
import org.duoattention.examples.cli.bench.Benchmark;
import org.duoattention.examples.cli.bench.Contender;
import org.duoattention.examples.cli.bench.Span;
import org.duoattention.examples.cli.bench.Work;
import org.duoattention.examples.cli.bench.WorkModel;

/** llama.cpp with one of its settings: full attention, its flash attention on or off, keys and values in F16 or Q8_0. */
public final class LlamaCppContender implements Contender {
    /** Tokens that it takes at a time, whatever the length of the prompt. */
    private static final int BATCH = 512;

    private static final int SPARE_TOKENS = 64;
    /** Differences in depth up to which it computes its cache; deeper ones are filled. */
    private static final int LONGEST_WALK = 1024;

    private static final String F16 = "f16";
    private static final String Q8_0 = "q8_0";

    private final LlamaCpp peer;
    private final boolean flashAttention;
    private final String kv;
    private final int deepest;
    private final int context;
    private final WorkModel model;
    private final double tokenBytes;
    private int id = -1;
    private int depth;

    private LlamaCppContender(LlamaCpp peer, boolean flashAttention, String kv, int deepest, int context) {
        this.peer = peer;
        this.flashAttention = flashAttention;
        this.kv = kv;
        this.deepest = deepest;
        this.context = context;
        ModelShape shape = peer.config().shape();
        this.tokenBytes = 2.0 * shape.headDim() * elementBytes(kv);
        long heads = (long) shape.layers() * shape.kvHeads();
        this.model = new WorkModel(
                peer.config(), peer.bytesPerWeight(), List.of(new WorkModel.Heads(heads, Long.MAX_VALUE, tokenBytes)));
    }

    /**
     * One contender for each setting worth measuring; values in Q8_0 need its flash attention.
     *
     * @param deepest depth up to which they take part
     * @param longest most tokens in a cache, of prefills and decodes up to that depth
     */
    public static List<Contender> all(LlamaCpp peer, int deepest, int longest) {
        int context = Math.addExact(longest, SPARE_TOKENS);
        return List.of(
                new LlamaCppContender(peer, true, F16, deepest, context),
                new LlamaCppContender(peer, false, F16, deepest, context),
                new LlamaCppContender(peer, true, Q8_0, deepest, context));
    }

    private static double elementBytes(String kv) {
        return kv.equals(F16) ? 2 : 34.0 / 32;
    }

    /** Bytes of the caches of all settings, which are kept until the end. */
    static long cacheBytes(ModelShape shape, int longest) {
        double perToken = 2.0 * shape.layers() * shape.kvWidth() * (2 * elementBytes(F16) + elementBytes(Q8_0));
        return (long) (perToken * Math.addExact(longest, SPARE_TOKENS));
    }

    @Override
    public Identity identity() {
        return new Identity(
                "llama.cpp",
                peer.weights(),
                kv,
                "full",
                1,
                flashAttention ? "flash attention on" : "flash attention off");
    }

    @Override
    public boolean reaches(int wanted) {
        return wanted <= deepest;
    }

    @Override
    public boolean onlyBestSettingCounts() {
        return true;
    }

    @Override
    public void warmUp() {
        prefill(new Span(0, SPARE_TOKENS));
        truncate(0);
        decode(4);
    }

    @Override
    public double prefill(Span span) {
        truncate(0);
        moveTo(span.from());
        double seconds = peer.ask(PeerProcess.request("prefill").put("id", id()).put("tokens", span.tokens()))
                .path("seconds")
                .asDouble();
        depth = span.end();
        truncate(0);
        return seconds;
    }

    @Override
    public void moveTo(int wanted) {
        if (wanted - depth > LONGEST_WALK) {
            peer.ask(PeerProcess.request("fill")
                    .put("id", id())
                    .put("depth", wanted)
                    .put("file", peer.stateFile().toString()));
        } else if (wanted > depth) {
            peer.ask(PeerProcess.request("prefill").put("id", id()).put("tokens", wanted - depth));
        }
        depth = wanted;
    }

    @Override
    public double decode(int tokens) {
        List<Double> seconds = new ArrayList<>();
        peer.ask(PeerProcess.request("decode").put("id", id()).put("tokens", tokens))
                .path("seconds")
                .forEach(step -> seconds.add(step.asDouble()));
        truncate(depth);
        return Benchmark.median(seconds);
    }

    private void truncate(int wanted) {
        peer.ask(PeerProcess.request("truncate").put("id", id()).put("depth", wanted));
        depth = Math.min(depth, wanted);
    }

    /** Its cache is made when it is first used. */
    private int id() {
        if (id < 0) {
            id = peer.ask(PeerProcess.request("open")
                            .put("fa", flashAttention)
                            .put("kv", kv)
                            .put("context", context))
                    .path("id")
                    .asInt();
        }
        return id;
    }

    @Override
    public Work prefillWork(Span span) {
        return model.prefill(span, BATCH);
    }

    @Override
    public Work decodeWork(int at) {
        return model.decode(at);
    }

    @Override
    public long weightBytes() {
        return peer.weightBytes();
    }

    @Override
    public long kvBytes(int tokens) {
        ModelShape shape = peer.config().shape();
        return Math.round(tokenBytes * tokens * shape.layers() * shape.kvHeads());
    }

    /** Its memory goes with the process. */
    @Override
    public void close() {}
}
