package org.duoattention.tck;

import static org.assertj.core.api.Assertions.assertThat;

import org.duoattention.api.backend.Device;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInstance;

/** One topic of {@link AttentionBackendContract}: one device for all its tests, one {@link Rig} for each. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
abstract class BackendTopic {
    ContractSubject subject;
    Device device;
    Rig rig;
    private long allocatedBefore;

    abstract ContractSubject subject();

    @BeforeAll
    void openDevice() {
        subject = subject();
        device = subject.open();
    }

    @AfterAll
    void closeDevice() {
        if (device != null) {
            device.close();
        }
    }

    @BeforeEach
    void openRig() {
        allocatedBefore = device.allocatedBytes();
        rig = new Rig(device);
    }

    @AfterEach
    void closeRig() throws Exception {
        rig.close();
        assertThat(device.allocatedBytes())
                .as("allocated bytes after everything was closed")
                .isEqualTo(allocatedBefore);
    }
}
