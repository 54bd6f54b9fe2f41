package org.duoattention.examples.cli;

import picocli.CommandLine.IVersionProvider;

/** Reads the version that the build wrote into the jar. */
final class Version implements IVersionProvider {
    @Override
    public String[] getVersion() {
        String version = DuoCommand.class.getPackage().getImplementationVersion();
        return new String[] {
            "duo " + (version == null ? "(development build)" : version) + ", Java " + Runtime.version()
        };
    }
}
