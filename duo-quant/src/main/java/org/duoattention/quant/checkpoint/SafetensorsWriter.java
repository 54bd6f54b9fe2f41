package org.duoattention.quant.checkpoint;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.duoattention.api.tensor.DType;
import org.duoattention.api.tensor.HostTensor;
import org.duoattention.api.tensor.TensorSpec;

/**
 * Writes one safetensors file: eight bytes of header length, a JSON header, the tensors back to back.
 *
 * <p>All shapes are given before the first number, so that the header comes first and memory stays bounded by one
 * buffer whatever the size of the file. Tensors lie in the order that the format's own library uses (wider types first,
 * then by name), which together with a header padded to eight bytes aligns each tensor to its element size. The numbers
 * of different tensors may be appended in any order, those of one tensor in row-major order.
 *
 * <p>The file is valid after {@link #finish()}; {@link #close()} without it deletes what was written. One thread at a
 * time.
 */
public final class SafetensorsWriter implements Closeable {
    private static final int BUFFER_BYTES = 1 << 16;

    private final Path file;
    private final FileChannel channel;
    private final Map<String, Region> regions;
    private final ByteBuffer buffer = ByteBuffer.allocateDirect(BUFFER_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    private boolean finished;

    private SafetensorsWriter(Path file, FileChannel channel, Map<String, Region> regions) {
        this.file = file;
        this.channel = channel;
        this.regions = regions;
    }

    /**
     * Creates the file and writes its header.
     *
     * @param file a path where nothing exists yet
     * @param tensors element type and shape by name
     * @param metadata free text by name, stored in the header; may be empty
     * @throws IOException when the file exists or cannot be written
     * @throws IllegalArgumentException when a tensor has the name that the format reserves for metadata
     */
    public static SafetensorsWriter create(Path file, Map<String, TensorSpec> tensors, Map<String, String> metadata)
            throws IOException {
        if (tensors.containsKey(SafetensorsHeaderJson.METADATA)) {
            throw new IllegalArgumentException(SafetensorsHeaderJson.METADATA + " is not the name of a tensor");
        }
        List<Map.Entry<String, TensorSpec>> entries = new ArrayList<>(tensors.entrySet());
        entries.sort(Comparator.comparing((Map.Entry<String, TensorSpec> entry) ->
                        -entry.getValue().dtype().bytes())
                .thenComparing(Map.Entry.comparingByKey()));
        Map<String, Region> regions = new LinkedHashMap<>();
        long end = 0;
        for (Map.Entry<String, TensorSpec> entry : entries) {
            long begin = end;
            end = Math.addExact(begin, entry.getValue().byteSize());
            regions.put(entry.getKey(), new Region(entry.getValue(), begin, end));
        }
        byte[] header = SafetensorsHeaderJson.encode(regions, new TreeMap<>(metadata));
        FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        SafetensorsWriter writer = new SafetensorsWriter(file, channel, regions);
        try {
            ByteBuffer start = ByteBuffer.allocate(Long.BYTES + header.length).order(ByteOrder.LITTLE_ENDIAN);
            start.putLong(header.length).put(header).flip();
            writeFully(channel, start, 0);
            regions.values().forEach(region -> region.position += Long.BYTES + header.length);
            return writer;
        } catch (IOException e) {
            writer.close();
            throw e;
        }
    }

    /**
     * Appends numbers to a tensor of type F32, F16 or BF16, rounding to nearest even.
     *
     * @param name a tensor of the header
     * @param values the next elements in row-major order
     * @throws IllegalArgumentException when there is no such tensor, its type is another, it has no room for that many
     *     elements, or a finite number is too large for its type
     */
    public void append(String name, float... values) throws IOException {
        Region region = region(name);
        DType dtype = region.spec.dtype();
        if (dtype != DType.F32 && dtype != DType.F16 && dtype != DType.BF16) {
            throw new IllegalArgumentException(name + " is " + dtype + ", floats can be stored as F32, F16 or BF16");
        }
        region.reserve(name, Math.multiplyExact((long) values.length, (long) dtype.bytes()));
        buffer.clear();
        for (float value : values) {
            if (buffer.remaining() < Float.BYTES) {
                flush(region);
            }
            if (dtype == DType.F32) {
                buffer.putFloat(value);
            } else {
                buffer.putShort(narrow(name, dtype, value));
            }
        }
        flush(region);
    }

    /**
     * Appends elements of any type as they lie in memory.
     *
     * @param name a tensor of the header
     * @param bytes the next elements in row-major order, little-endian; the buffer is read to its limit
     * @throws IllegalArgumentException when there is no such tensor or it has no room for that many bytes
     */
    public void append(String name, ByteBuffer bytes) throws IOException {
        Region region = region(name);
        int count = bytes.remaining();
        region.reserve(name, count);
        writeFully(channel, bytes, region.position);
        region.position += count;
    }

    /**
     * Writes a whole tensor as it is.
     *
     * @param name a tensor of the header to which nothing was appended yet
     * @param tensor numbers of the same type and shape; read during the call only
     * @throws IllegalArgumentException when type or shape differ from the header's or the tensor was begun before
     */
    public void write(String name, HostTensor tensor) throws IOException {
        Region region = region(name);
        if (!region.spec.equals(tensor.spec())) {
            throw new IllegalArgumentException(name + " is " + region.spec + " in the header, not " + tensor.spec());
        }
        region.reserve(name, tensor.spec().byteSize());
        for (long done = 0; done < tensor.data().byteSize(); ) {
            long count = Math.min(BUFFER_BYTES, tensor.data().byteSize() - done);
            buffer.clear().put(tensor.data().asSlice(done, count).asByteBuffer());
            flush(region);
            done += count;
        }
    }

    /**
     * Completes the file and forces it to disk.
     *
     * @throws IllegalStateException when numbers are missing
     */
    public void finish() throws IOException {
        regions.forEach((name, region) -> {
            if (region.remaining != 0) {
                throw new IllegalStateException(name + " lacks " + region.remaining + " bytes of " + region.spec);
            }
        });
        channel.force(true);
        finished = true;
    }

    /** Closes the file, and deletes it unless it was finished. */
    @Override
    public void close() throws IOException {
        channel.close();
        if (!finished) {
            Files.deleteIfExists(file);
        }
    }

    private Region region(String name) {
        Region region = regions.get(name);
        if (region == null) {
            throw new IllegalArgumentException("the header has no tensor " + name);
        }
        return region;
    }

    private static short narrow(String name, DType dtype, float value) {
        short bits = dtype == DType.F16 ? Float.floatToFloat16(value) : bfloat16(value);
        float stored = dtype == DType.F16 ? Float.float16ToFloat(bits) : Float.intBitsToFloat(bits << 16);
        if (Float.isInfinite(stored) && Float.isFinite(value)) {
            throw new IllegalArgumentException(name + " holds " + value + ", which is too large for " + dtype);
        }
        return bits;
    }

    private static short bfloat16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) ((bits >>> 16) | 0x40);
        }
        return (short) ((bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16);
    }

    private void flush(Region region) throws IOException {
        buffer.flip();
        int count = buffer.remaining();
        writeFully(channel, buffer, region.position);
        region.position += count;
        buffer.clear();
    }

    private static void writeFully(FileChannel channel, ByteBuffer bytes, long position) throws IOException {
        for (long at = position; bytes.hasRemaining(); ) {
            at += channel.write(bytes, at);
        }
    }

    /** Where one tensor lies, and how much of it is still to come. */
    static final class Region {
        final TensorSpec spec;
        final long begin;
        final long end;
        private long position;
        private long remaining;

        Region(TensorSpec spec, long begin, long end) {
            this.spec = spec;
            this.begin = begin;
            this.end = end;
            this.position = begin;
            this.remaining = end - begin;
        }

        private void reserve(String name, long bytes) {
            if (bytes > remaining) {
                throw new IllegalArgumentException(
                        name + " has room for " + remaining + " more bytes of " + spec + ", not for " + bytes);
            }
            remaining -= bytes;
        }
    }
}
