package org.duoattention.identify.distill;

import java.util.ArrayList;
import java.util.List;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Slab;
import org.duoattention.api.backend.Tensor;

/** The tensors of {@link StepMemory}, allocated once and used by every step. Owns them. */
final class Workspace implements AutoCloseable {
    private final List<AutoCloseable> owned = new ArrayList<>();

    /** Input of every layer of the student, and the output of the last. */
    final List<Tensor> checkpoints;
    /** Full attention of every layer, to be blended in. */
    final List<Tensor> full;
    /** The teacher's residual stream; when it has run, the gradient of the student's. */
    final Tensor residual;

    final Tensor q;
    /** Streaming attention; then the gradient of {@link #q}. */
    final Tensor streaming;

    final Tensor attentionGradient;
    final Tensor k;
    final Tensor v;
    final Tensor kGradient;
    final Tensor vGradient;
    /** One row per layer. */
    final List<Tensor> gateGradients;

    final Tensor normed;
    final Tensor delta;
    final Tensor mixed;
    final Tensor gate;
    final Tensor up;
    final Tensor activation;
    /** The cache of one layer. */
    final Slab slab;

    /**
     * Allocates.
     *
     * @throws org.duoattention.core.DuoException when the device has not enough memory
     */
    Workspace(Device device, StepMemory memory) {
        memory.require(device);
        try {
            checkpoints = allocate(device, memory.checkpoints());
            full = allocate(device, memory.fullAttention());
            residual = allocate(device, memory.residual()).getFirst();
            List<Tensor> queries = allocate(device, memory.queries());
            q = queries.get(0);
            streaming = queries.get(1);
            attentionGradient = queries.get(2);
            List<Tensor> keysAndValues = allocate(device, memory.keysAndValues());
            k = keysAndValues.get(0);
            v = keysAndValues.get(1);
            kGradient = keysAndValues.get(2);
            vGradient = keysAndValues.get(3);
            gateGradients = allocate(device, memory.gates());
            List<Tensor> hidden = allocate(device, memory.hiddenBlocks());
            normed = hidden.get(0);
            delta = hidden.get(1);
            mixed = allocate(device, memory.queryBlocks()).getFirst();
            List<Tensor> feedForward = allocate(device, memory.feedForwardBlocks());
            gate = feedForward.get(0);
            up = feedForward.get(1);
            activation = feedForward.get(2);
            slab = device.allocate(memory.slab());
            owned.add(slab);
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    private List<Tensor> allocate(Device device, StepMemory.Part part) {
        List<Tensor> tensors = new ArrayList<>();
        for (int i = 0; i < part.count(); i++) {
            Tensor tensor = device.allocate(part.spec());
            owned.add(tensor);
            tensors.add(tensor);
        }
        return tensors;
    }

    @Override
    public void close() {
        for (AutoCloseable one : owned) {
            try {
                one.close();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
