package org.duoattention.core.session;

import java.nio.file.Path;
import java.util.Map;
import java.util.Optional;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Requirements;
import org.duoattention.core.DuoException;
import org.duoattention.core.model.ModelConfig;

/**
 * Plans sessions of a model that is not there: a configuration on a device, without weights. The plans are those that a
 * model with this configuration makes, to the byte. Owns the device.
 *
 * <p>For use by one thread.
 */
public final class Planner implements AutoCloseable {
    private final Duo duo;
    private final ModelConfig config;
    private final Requirements requirements;
    private final Device device;

    Planner(
            Duo duo,
            ModelConfig config,
            Requirements requirements,
            Optional<String> backend,
            Map<String, String> options) {
        this.duo = duo;
        this.config = config;
        this.requirements = requirements;
        this.device = duo.backends().open(requirements, backend, options);
    }

    /** The configuration. */
    public ModelConfig config() {
        return config;
    }

    /** The device that is planned for. */
    public Device device() {
        return device;
    }

    /** Begins a session that can be planned and not opened. */
    public SessionBuilder session() {
        Path file = config.file().toAbsolutePath();
        Path parent = file.getParent();
        return new SessionBuilder(
                new SessionTarget(duo, config, parent == null ? file : parent, device, requirements, plan -> {
                    throw new IllegalStateException("a planner has no weights; open the model");
                }));
    }

    /**
     * The plan of the longest context that fits.
     *
     * @param sessions everything but the longest context
     * @param least shortest context to look at
     * @param budget bytes for cache and scratch tensors
     * @throws DuoException when not even the shortest context fits, or a setting is refused
     */
    public SessionPlan longest(SessionBuilder sessions, long least, long budget) {
        long low = least;
        SessionPlan best = sessions.maxContext(low).plan();
        if (!fits(best, budget)) {
            throw new DuoException("A context of " + low + " tokens with policy "
                    + best.options().policy() + " takes " + bytes(best) + " bytes beside the weights, " + budget
                    + " are left; give more memory, or choose smaller weights or a smaller chunk");
        }
        long most = Math.min(Session.MAX_TOKENS, config.slidingWindow().orElse(Long.MAX_VALUE));
        // Bytes grow with the context. First out by doubling, so that nothing is planned that is absurdly too long.
        long high = low;
        while (high < most) {
            high = Math.min(most, 2 * high);
            SessionPlan plan = sessions.maxContext(high).plan();
            if (!fits(plan, budget)) {
                break;
            }
            best = plan;
            low = high;
        }
        while (high - low > 1) {
            long middle = low + (high - low) / 2;
            SessionPlan plan = sessions.maxContext(middle).plan();
            if (fits(plan, budget)) {
                best = plan;
                low = middle;
            } else {
                high = middle;
            }
        }
        return best;
    }

    private static boolean fits(SessionPlan plan, long budget) {
        return bytes(plan) <= budget;
    }

    private static long bytes(SessionPlan plan) {
        return Math.addExact(plan.kvBytes(), plan.activationBytes());
    }

    @Override
    public void close() {
        device.close();
    }
}
