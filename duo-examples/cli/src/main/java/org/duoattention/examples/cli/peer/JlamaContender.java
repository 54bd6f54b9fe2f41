package org.duoattention.examples.cli.peer;

import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.model.ModelShape;
import org.duoattention.examples.cli.bench.Benchmark;
import org.duoattention.examples.cli.bench.Contender;
import org.duoattention.examples.cli.bench.Span;
import org.duoattention.examples.cli.bench.Work;
import org.duoattention.examples.cli.bench.WorkModel;
import tools.jackson.databind.node.ObjectNode;

/** Jlama with one of its implementations: full attention, keys and values in F32. */
final class JlamaContender implements Contender {
    /** Tokens that it takes at a time, whatever the length of the prompt. */
    private static final int BATCH = 256;

    private static final int WARM_UP_ROWS = 4;
    private static final int WARM_UP_STEPS = 256;
    private static final long WARM_UP_NANOS = 20_000_000_000L;

    private final Jlama peer;
    private final PeerProcess process;
    private final String setting;
    private final int deepest;
    private final WorkModel model;
    private int depth;

    JlamaContender(Jlama peer, PeerProcess process, String setting, int deepest) {
        this.peer = peer;
        this.process = process;
        this.setting = setting;
        this.deepest = deepest;
        ModelShape shape = peer.config().shape();
        this.model = new WorkModel(
                peer.config(),
                peer.bytesPerWeight(),
                List.of(new WorkModel.Heads(
                        (long) shape.layers() * shape.kvHeads(), Long.MAX_VALUE, 2.0 * Float.BYTES * shape.headDim())));
    }

    @Override
    public Identity identity() {
        return new Identity("jlama", peer.weights(), "f32", "full", 1, setting);
    }

    @Override
    public boolean reaches(int wanted) {
        return wanted <= deepest;
    }

    /** Little by little, because code that is not compiled yet takes minutes for a whole batch. */
    @Override
    public void warmUp() {
        long end = System.nanoTime() + WARM_UP_NANOS;
        for (int i = 0; i < WARM_UP_STEPS && System.nanoTime() < end; i++) {
            decode(1);
            prefill(0, WARM_UP_ROWS);
        }
    }

    @Override
    public double prefill(Span span) {
        if (span.from() > 0) {
            fill(0, span.from());
        }
        double seconds = prefill(span.from(), span.tokens());
        // Its keys and values lie where those of the decode's depth do.
        depth = 0;
        return seconds;
    }

    private double prefill(int from, int tokens) {
        ObjectNode request = PeerProcess.request("prefill").put("from", from).put("tokens", tokens);
        return process.ask(request).path("seconds").asDouble();
    }

    private void fill(int from, int to) {
        process.ask(PeerProcess.request("fill").put("from", from).put("depth", to));
    }

    @Override
    public void moveTo(int wanted) {
        fill(depth, wanted);
        depth = wanted;
    }

    @Override
    public double decode(int tokens) {
        List<Double> seconds = new ArrayList<>();
        process.ask(PeerProcess.request("decode").put("depth", depth).put("tokens", tokens))
                .path("seconds")
                .forEach(step -> seconds.add(step.asDouble()));
        return Benchmark.median(seconds);
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
        return peer.kvBytes(tokens);
    }

    /** Its memory goes with the process, which is the peer's. */
    @Override
    public void close() {}
}
