package org.duoattention.core;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;
import org.duoattention.api.backend.AttentionBackend;
import org.duoattention.api.backend.Device;
import org.duoattention.api.backend.Probe;
import org.duoattention.api.backend.Requirements;

/** Devices whose calls fail when a test wants it. */
public final class BrokenDevice {
    private BrokenDevice() {}

    /**
     * The device, except that its methods of one name first ask whether to fail.
     *
     * @param failure asked on every call, from any thread; empty lets the call through
     */
    public static Device of(Device device, String methodName, Supplier<Optional<RuntimeException>> failure) {
        return (Device) Proxy.newProxyInstance(
                Device.class.getClassLoader(), new Class<?>[] {Device.class}, (proxy, method, arguments) -> {
                    if (method.getName().equals(methodName)) {
                        Optional<RuntimeException> thrown = failure.get();
                        if (thrown.isPresent()) {
                            throw thrown.get();
                        }
                    }
                    try {
                        return method.invoke(device, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    /** The backend with such devices. */
    public static AttentionBackend in(
            AttentionBackend backend, String methodName, Supplier<Optional<RuntimeException>> failure) {
        return new AttentionBackend() {
            @Override
            public String id() {
                return backend.id();
            }

            @Override
            public Probe probe(Requirements requirements) {
                return backend.probe(requirements);
            }

            @Override
            public Device open(Map<String, String> options) {
                return of(backend.open(options), methodName, failure);
            }
        };
    }
}
