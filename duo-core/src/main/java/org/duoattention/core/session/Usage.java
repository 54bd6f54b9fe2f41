package org.duoattention.core.session;

import java.time.Duration;

/**
 * What a generation took.
 *
 * @param newTokens tokens generated
 * @param decodeSteps tokens that were fed one by one meanwhile
 * @param decodeTime wall time of these steps
 */
public record Usage(int newTokens, int decodeSteps, Duration decodeTime) {
    /** Milliseconds per decode step; 0 when there was none. */
    public double millisPerToken() {
        return decodeSteps == 0 ? 0 : decodeTime.toNanos() / 1e6 / decodeSteps;
    }
}
