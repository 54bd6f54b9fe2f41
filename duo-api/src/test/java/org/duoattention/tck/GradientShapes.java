package org.duoattention.tck;

import static org.duoattention.tck.StreamShapes.check;

import org.duoattention.api.backend.Gradients;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.TensorSpec;

/** The shapes that the operations of {@link Gradients} accept; otherwise as {@link StreamShapes}. */
final class GradientShapes {
    private GradientShapes() {}

    static void linear(TensorSpec gradient, TensorSpec weight, TensorSpec inputGradient) {
        String shapes = "the gradient " + gradient + " times " + weight + " into " + inputGradient;
        rows(shapes, gradient, inputGradient);
        check(weight.rank() == 2 && gradient.extent(0) == inputGradient.extent(0), shapes);
        check(gradient.extent(1) == weight.extent(0) && inputGradient.extent(1) == weight.extent(1), shapes);
    }

    static void attend(TensorSpec q, TensorSpec k, TensorSpec v, Gradients.Streaming streaming) {
        String shapes =
                "streaming attention of " + q + " over " + k + " and " + v + " with heads of " + streaming.headDim();
        rows(shapes, q, k, v);
        check(k.equals(v) && q.extent(0) == k.extent(0) && k.extent(1) > 0, shapes);
        check(k.extent(1) % streaming.headDim() == 0 && q.extent(1) % k.extent(1) == 0, shapes);
    }

    static void gates(TensorSpec rows, int gates) {
        String shapes = gates + " gates for " + rows;
        rows(shapes, rows);
        check(gates > 0 && rows.extent(1) % gates == 0, shapes);
    }

    static void gateGradients(TensorSpec sums, int gates) {
        check(sums.equals(TensorSpec.of(DType.F32, 1, gates)), "the gradients " + sums + " of " + gates + " gates");
    }

    private static void rows(String shapes, TensorSpec... tensors) {
        for (TensorSpec tensor : tensors) {
            check(tensor.rank() == 2 && tensor.dtype() == DType.F32, shapes);
        }
    }
}
