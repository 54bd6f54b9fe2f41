package org.duoattention.examples.cli.machine;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** Multiply-add in F32 on registers alone: what every product of matrices stays below. For use by one thread. */
public final class PeakFlops {
    private static final VectorSpecies<Float> SPECIES = FloatVector.SPECIES_PREFERRED;
    private static final int CHAINS = 10;
    private static final int ROUNDS = 20_000;
    private static final int CALLS = 40;

    private final Team team;
    private volatile float sink;

    /** For a team of threads. */
    public PeakFlops(Team team) {
        this.team = team;
    }

    /** Computes for some milliseconds on every thread and returns floating-point operations per second. */
    public double measure() {
        long start = System.nanoTime();
        team.run(thread -> {
            float sum = 0;
            for (int i = 0; i < CALLS; i++) {
                sum += chains(1 + 1e-9f * i);
            }
            sink = sum;
        });
        double operations = 2.0 * SPECIES.length() * CHAINS * ROUNDS * CALLS * team.threads();
        return operations / (System.nanoTime() - start) * 1e9;
    }

    /** Enough independent chains to fill two units of a latency of four or five. */
    private static float chains(float factor) {
        FloatVector f = FloatVector.broadcast(SPECIES, factor);
        FloatVector s = FloatVector.broadcast(SPECIES, 1e-9f);
        FloatVector a = f;
        FloatVector b = f.add(1);
        FloatVector c = f.add(2);
        FloatVector d = f.add(3);
        FloatVector e = f.add(4);
        FloatVector g = f.add(5);
        FloatVector h = f.add(6);
        FloatVector i = f.add(7);
        FloatVector j = f.add(8);
        FloatVector k = f.add(9);
        for (int round = 0; round < ROUNDS; round++) {
            a = a.fma(f, s);
            b = b.fma(f, s);
            c = c.fma(f, s);
            d = d.fma(f, s);
            e = e.fma(f, s);
            g = g.fma(f, s);
            h = h.fma(f, s);
            i = i.fma(f, s);
            j = j.fma(f, s);
            k = k.fma(f, s);
        }
        return a.add(b).add(c.add(d)).add(e.add(g)).add(h.add(i)).add(j.add(k)).lane(0);
    }
}
