package org.duoattention.backend.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.duoattention.backend.cuda.driver.Context;
import org.duoattention.backend.cuda.driver.Driver;

/**
 * CUDA graphs of sequences of launches that come again: a decode step of hundreds of kernels becomes one call of the
 * driver. A graph is built when a sequence is seen for the second time, and found by the equality of its launches, so that
 * nobody has to say what a step is. Few are kept: those used last.
 */
final class Graphs {
    /** Shorter sequences are launched as fast without. */
    private static final int SHORTEST = 3;
    /** Sequences that are remembered, seen once or with a graph. */
    private static final int KEPT = 16;
    /** Size of {@code CUDA_KERNEL_NODE_PARAMS_v2}. */
    private static final int NODE_BYTES = 72;

    /** Sequence and graph, or 0 as long as it was seen only once; the one used longest ago comes first. */
    private final Map<List<Launch>, Long> graphs = new LinkedHashMap<>(KEPT, 0.75f, true);

    private final Context context;
    private final Driver driver;

    Graphs(Context context) {
        this.context = context;
        this.driver = context.driver();
    }

    /** The graph of a sequence, to be launched; 0 when the launches are to be made one by one. The context is current. */
    long of(List<Launch> launches) {
        if (launches.size() < SHORTEST) {
            return 0;
        }
        Long graph = graphs.get(launches);
        if (graph == null) {
            if (graphs.size() == KEPT) {
                Iterator<Long> oldest = graphs.values().iterator();
                destroy(oldest.next());
                oldest.remove();
            }
            graphs.put(List.copyOf(launches), 0L);
            return 0;
        }
        if (graph == 0) {
            graph = build(launches);
            graphs.put(List.copyOf(launches), graph);
        }
        return graph;
    }

    /** A chain of kernel nodes, made executable. */
    private long build(List<Launch> launches) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(8, 8);
            driver.call("cuGraphCreate", out, 0);
            long graph = out.get(ValueLayout.JAVA_LONG, 0);
            try {
                MemorySegment previous = arena.allocate(8, 8);
                MemorySegment node = arena.allocate(NODE_BYTES, 8);
                MemorySegment values = arena.allocate(8L * Launches.MOST_ARGUMENTS, 8);
                MemorySegment addresses = Launches.addresses(arena, values);
                long dependencies = 0;
                for (Launch launch : launches) {
                    launch.kernel().reserveShared(launch.sharedBytes());
                    long[] arguments = launch.arguments();
                    MemorySegment.copy(arguments, 0, values, ValueLayout.JAVA_LONG, 0, arguments.length);
                    fill(node, launch, addresses);
                    driver.call("cuGraphAddKernelNode_v2", out, graph, previous, dependencies, node);
                    previous.set(ValueLayout.JAVA_LONG, 0, out.get(ValueLayout.JAVA_LONG, 0));
                    dependencies = 1;
                }
                driver.call("cuGraphInstantiateWithFlags", out, graph, 0L);
                return out.get(ValueLayout.JAVA_LONG, 0);
            } finally {
                driver.call("cuGraphDestroy", graph);
            }
        }
    }

    private static void fill(MemorySegment node, Launch launch, MemorySegment addresses) {
        node.fill((byte) 0);
        node.set(ValueLayout.JAVA_LONG, 0, launch.kernel().function());
        int[] sizes = {launch.gridX(), launch.gridY(), launch.gridZ(), launch.threads(), 1, 1, launch.sharedBytes()};
        MemorySegment.copy(sizes, 0, node, ValueLayout.JAVA_INT, 8, sizes.length);
        node.set(ValueLayout.ADDRESS, 40, addresses);
    }

    private void destroy(long graph) {
        if (graph != 0) {
            driver.call("cuGraphExecDestroy", graph);
        }
    }

    /** Destroys all graphs; none is running by then. */
    void close() {
        context.enter();
        graphs.values().forEach(this::destroy);
        graphs.clear();
    }
}
