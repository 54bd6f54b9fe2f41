package org.duoattention.core.quantize;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import java.util.Set;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;
import org.duoattention.core.load.WeightSource;
import org.duoattention.quant.weight.Floats;

/** The weights of another source with factors applied, in F32 and not quantised. */
record RescaledWeights(WeightSource source, Rescaling rescaling, Arena arena) implements WeightSource {
    @Override
    public Optional<HostTensor> find(String name) {
        return source.find(name).map(tensor -> rescaled(name, tensor));
    }

    @Override
    public HostTensor get(String name, long... shape) {
        return rescaled(name, source.get(name, shape));
    }

    private HostTensor rescaled(String name, HostTensor tensor) {
        int elements = (int) tensor.spec().elements();
        int rows = (int) tensor.spec().rows();
        float[] values = new float[elements];
        Floats.read(tensor, 0, values, elements);
        rescaling.apply(name, values, 0, rows, elements / rows);
        MemorySegment data = arena.allocate(4L * elements, 4);
        MemorySegment.copy(values, 0, data, ValueLayout.JAVA_FLOAT, 0, elements);
        return new HostTensor(new TensorSpec(DType.F32, tensor.spec().shape()), data);
    }

    @Override
    public Set<String> names() {
        return source.names();
    }

    @Override
    public Set<DType> dtypes() {
        return Set.of(DType.F32);
    }

    @Override
    public long totalBytes() {
        return source.totalBytes();
    }
}
