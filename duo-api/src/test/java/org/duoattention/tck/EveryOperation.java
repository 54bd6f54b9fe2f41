package org.duoattention.tck;

import java.lang.foreign.MemorySegment;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.backend.ComputeStream;
import org.duoattention.api.backend.Gradients;
import org.duoattention.api.backend.PrefillMode;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.SlabSpec;
import org.duoattention.api.backend.Tensor;
import org.duoattention.api.cache.Retention;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.api.tensor.DType;

/** One valid call of every operation of a stream, to be made in a way that must be refused. */
final class EveryOperation {
    final Tensor square;
    final Tensor other;
    final Tensor vector;
    final Slab slab;
    final Slab custom;
    final Map<String, Consumer<ComputeStream>> calls = new LinkedHashMap<>();

    EveryOperation(Rig rig, ContractSubject subject) {
        square = rig.zeros(DType.F32, 8, 8);
        other = rig.zeros(DType.F32, 8, 8);
        Tensor third = rig.zeros(DType.F32, 8, 8);
        vector = rig.zeros(DType.F32, 8);
        slab = rig.slab(spec(new Retention.All()));
        custom = rig.slab(spec(new Retention.Custom(8, Optional.empty(), (slots, budget) -> new int[0])));
        rig.stream.append(custom, square, square);
        MemorySegment host = rig.arena.allocate(8 * 8 * 4, 4);
        Projection projection = new Projection(square, Optional.empty(), other);
        Rope rope = new Rope(new double[] {1, 0.1, 0.01, 0.001}, 1);
        calls.put("upload", stream -> stream.upload(host, square));
        calls.put("download", stream -> stream.download(square, host));
        calls.put("synchronize", ComputeStream::synchronize);
        calls.put("embed", stream -> stream.embed(square, new int[8], other));
        calls.put("rmsNorm", stream -> stream.rmsNorm(square, vector, 1e-5f, other));
        calls.put("linear", stream -> stream.linear(square, projection));
        calls.put("linears", stream -> stream.linears(square, List.of(projection)));
        calls.put("rope", stream -> stream.rope(square, 8, rope, 0));
        calls.put("swiGlu", stream -> stream.swiGlu(square, square, other));
        calls.put("add", stream -> stream.add(square, other));
        calls.put("addRmsNorm", stream -> stream.addRmsNorm(other, square, vector, 1e-5f, third));
        MemorySegment largest = rig.arena.allocate(8 * 3 * 4, 4);
        calls.put("topK", stream -> stream.topK(square, 3, host.asSlice(0, largest.byteSize()), largest));
        calls.put("append", stream -> stream.append(slab, square, square));
        calls.put("attend", stream -> stream.attend(slab, square, 1, PrefillMode.UPSTREAM, other));
        calls.put("attendAll", stream -> stream.attendAll(List.of(slab), square, 1, PrefillMode.UPSTREAM, other));
        calls.put("evict", stream -> stream.evict(slab));
        calls.put("slots", stream -> stream.slots(slab, 0));
        calls.put("compact", stream -> stream.compact(custom, List.of(new int[] {0})));
        if (subject.supports(Capability.ROLLBACK)) {
            calls.put("truncate", stream -> stream.truncate(slab, 0));
        }
        if (subject.supports(Capability.SNAPSHOT)) {
            MemorySegment snapshot = rig.arena.allocate(rig.stream.saveBytes(slab));
            rig.stream.save(slab, snapshot);
            rig.stream.synchronize();
            calls.put("saveBytes", stream -> stream.saveBytes(slab));
            calls.put("save", stream -> stream.save(slab, snapshot));
            calls.put("restore", stream -> stream.restore(slab, snapshot));
        }
        if (subject.supports(Capability.GRADIENTS)) {
            gradients(third, rig.zeros(DType.F32, 8, 8), rig.zeros(DType.F32, 1, 1), rope);
        }
        rig.stream.append(slab, square, square);
        rig.stream.synchronize();
    }

    private void gradients(Tensor third, Tensor fourth, Tensor sum, Rope rope) {
        Gradients.Streaming streaming = new Gradients.Streaming(8, 1, 2, 1);
        List<Gradients.LinearOutput> layer = List.of(new Gradients.LinearOutput(square, square));
        gradients("linears", gradients -> gradients.linears(layer, other));
        gradients("rmsNorm", gradients -> gradients.rmsNorm(square, vector, 1e-5f, square, other));
        gradients("rope", gradients -> gradients.rope(square, 8, rope, 0));
        gradients("swiGlu", gradients -> gradients.swiGlu(square, square, square, third, other));
        gradients("attend", gradients -> gradients.attend(square, square, square, streaming, other));
        gradients(
                "attendBackward",
                gradients -> gradients.attendBackward(square, square, square, streaming, square, other, third, fourth));
        gradients("blend", gradients -> gradients.blend(square, square, new float[] {0.5f}, other));
        gradients(
                "blendBackward",
                gradients -> gradients.blendBackward(square, square, new float[] {0.5f}, square, other, sum));
    }

    private void gradients(String name, Consumer<Gradients> call) {
        calls.put("gradients." + name, stream -> call.accept(stream.gradients()));
    }

    static SlabSpec spec(Retention retention) {
        return new SlabSpec(SlabRun.shape(1, 1, 8), 0, HeadSet.range(1), BlockFormat.F32, retention, 100, 8, 0);
    }
}
