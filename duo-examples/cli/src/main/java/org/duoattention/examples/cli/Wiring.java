package org.duoattention.examples.cli;

import com.google.inject.Guice;
import com.google.inject.ProvisionException;
import org.duoattention.core.DuoException;
import org.duoattention.core.inject.DuoModule;
import org.duoattention.core.session.Duo;

/** Puts the parts of the library together, as an application that uses Guice does. */
final class Wiring {
    private Wiring() {}

    /**
     * The library with everything that is on the path.
     *
     * @throws DuoException when two providers have the same name
     */
    static Duo duo() {
        try {
            return Guice.createInjector(new DuoModule()).getInstance(Duo.class);
        } catch (ProvisionException e) {
            if (e.getCause() instanceof DuoException cause) {
                throw cause;
            }
            throw e;
        }
    }
}
