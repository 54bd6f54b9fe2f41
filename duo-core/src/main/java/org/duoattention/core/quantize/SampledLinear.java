package org.duoattention.core.quantize;

import org.duoattention.api.tensor.HostTensor;
import org.duoattention.core.load.WeightSource;
import org.duoattention.quant.weight.Floats;
import org.duoattention.quant.weight.InputCorrection;
import org.duoattention.quant.weight.QuantizedRows;

/**
 * Some rows of a matrix, evenly spread and corrected, and the energy of their outputs on sampled inputs.
 *
 * @param weights {@code [rows, width]}
 * @param rows number of rows
 * @param energy sum of the squared outputs
 */
@SuppressWarnings("ArrayRecordComponent") // Read by one class, never compared.
record SampledLinear(float[] weights, int rows, double energy) {
    static SampledLinear of(
            WeightSource source, String module, int most, LinearInputs inputs, InputCorrection correction) {
        HostTensor tensor = source.find(module + ".weight").orElseThrow();
        int width = inputs.width();
        int rows = (int) Math.min(most, tensor.spec().rows());
        float[] weights = new float[Math.multiplyExact(rows, width)];
        float[] row = new float[width];
        double energy = 0;
        for (int i = 0; i < rows; i++) {
            Floats.read(tensor, tensor.spec().rows() * i / rows * width, row, width);
            correction.apply(row, 1);
            System.arraycopy(row, 0, weights, i * width, width);
            energy += outputEnergy(row, inputs);
        }
        return new SampledLinear(weights, rows, energy);
    }

    /**
     * The squared error of the outputs over their energy, when columns were multiplied by factors and quantised, and inputs
     * are divided by the factors.
     */
    double error(QuantizedRows quantized, float[] factors, LinearInputs inputs) {
        int width = inputs.width();
        float[] delta = new float[width];
        double error = 0;
        for (int row = 0; row < rows; row++) {
            quantized.dequantize(row, delta);
            for (int i = 0; i < width; i++) {
                delta[i] = delta[i] / factors[i] - weights[row * width + i];
            }
            error += outputEnergy(delta, inputs);
        }
        return energy == 0 ? 0 : error / energy;
    }

    private static double outputEnergy(float[] row, LinearInputs inputs) {
        int samples = inputs.samples();
        float[] sampled = inputs.sampled();
        float[] outputs = new float[samples];
        for (int i = 0; i < row.length; i++) {
            accumulate(row[i], sampled, i * samples, outputs);
        }
        double energy = 0;
        for (float output : outputs) {
            energy += (double) output * output;
        }
        return energy;
    }

    private static void accumulate(float weight, float[] sampled, int from, float[] outputs) {
        for (int sample = 0; sample < outputs.length; sample++) {
            outputs[sample] += weight * sampled[from + sample];
        }
    }
}
