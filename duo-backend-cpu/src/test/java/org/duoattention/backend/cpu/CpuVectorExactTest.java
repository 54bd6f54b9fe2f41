package org.duoattention.backend.cpu;

import java.util.Map;

/** The vector backend keeps the contract of backends when it does not round inputs; the build runs it once per vector width. */
class CpuVectorExactTest extends CpuVectorBackendTest {
    @Override
    protected Map<String, String> options() {
        return Map.of("activations", "exact");
    }

    @Override
    protected int activationGroup() {
        return 0;
    }
}
