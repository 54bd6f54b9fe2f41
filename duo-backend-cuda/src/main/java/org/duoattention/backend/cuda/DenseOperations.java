package org.duoattention.backend.cuda;

import java.util.List;
import org.duoattention.api.backend.Projection;
import org.duoattention.api.backend.Rope;

/** Queues the operations of a decoder outside attention. Arguments are checked already. */
final class DenseOperations {
    private static final int THREADS = 256;

    private final Kernels kernels;
    private final Launches launches;

    DenseOperations(Kernels kernels, Launches launches) {
        this.kernels = kernels;
        this.launches = launches;
    }

    private static UnsupportedOperationException missing() {
        return new UnsupportedOperationException("an operation of the cuda backend");
    }

    void embed(CudaTensor table, int[] ids, CudaTensor out) {
        throw missing();
    }

    void rmsNorm(CudaTensor x, CudaTensor weight, float epsilon, CudaTensor out) {
        throw missing();
    }

    void linears(CudaTensor x, List<Projection> projections) {
        throw missing();
    }

    void rope(CudaTensor x, int headDim, Rope rope, long position) {
        throw missing();
    }

    void swiGlu(CudaTensor gate, CudaTensor up, CudaTensor out) {
        throw missing();
    }

    void add(CudaTensor target, CudaTensor x) {
        long elements = target.spec().elements();
        if (elements > 0) {
            launches.launch(
                    kernels.get("elementwise", "duo_add"),
                    Math.ceilDiv(elements, THREADS),
                    1,
                    1,
                    THREADS,
                    0,
                    target.address(),
                    x.address(),
                    elements);
        }
    }

    void addRmsNorm(CudaTensor target, CudaTensor x, CudaTensor weight, float epsilon, CudaTensor out) {
        throw missing();
    }
}
