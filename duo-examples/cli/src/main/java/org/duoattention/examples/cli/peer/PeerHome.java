package org.duoattention.examples.cli.peer;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import org.duoattention.core.DuoException;

/**
 * The folder that a peer is installed in when it is first asked for: the one that the system property {@code duo.peers} names, or
 * one under the user's cache folder.
 *
 * @param peer its name for messages
 * @param release name and version of what is installed
 * @param folder the folder
 */
record PeerHome(String peer, String release, Path folder) {
    private static final int SECONDS_TO_INSTALL = 600;

    static PeerHome of(String peer, String release) {
        String configured = System.getProperty("duo.peers");
        return new PeerHome(
                peer,
                release,
                configured != null
                        ? Path.of(configured)
                        : Path.of(System.getProperty("user.home"), ".cache", "duo", "peers")
                                .resolve(release.replace('@', '-')));
    }

    /**
     * Refuses when a program is not on the PATH.
     *
     * @param advice what to install
     */
    void requireProgram(String name, String advice) {
        try {
            Process process = new ProcessBuilder(name, "--version")
                    .redirectOutput(ProcessBuilder.Redirect.DISCARD)
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            process.waitFor();
        } catch (IOException e) {
            throw new DuoException(
                    "--peer " + peer + " needs " + name + ", which is not on the PATH; " + advice
                            + ", or leave --peer out",
                    e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new DuoException("--peer " + peer + ": interrupted", e);
        }
    }

    /** Runs an installer in the folder, which must exist; it must end within minutes. */
    void install(List<String> command, Consumer<String> log) {
        log.accept("installing " + release + " into " + folder);
        Path output = folder.resolve(command.getFirst() + ".log");
        try {
            Process installer = new ProcessBuilder(command)
                    .directory(folder.toFile())
                    .redirectErrorStream(true)
                    .redirectOutput(output.toFile())
                    .start();
            if (!installer.waitFor(SECONDS_TO_INSTALL, TimeUnit.SECONDS) || installer.exitValue() != 0) {
                installer.destroy();
                throw new DuoException("--peer " + peer + ": " + command.getFirst() + " could not install " + release
                        + "; see " + output + ", or install it in a folder of your own and name that with"
                        + " DUO_OPTS=-Dduo.peers=DIR");
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new DuoException("--peer " + peer + ": the installation was interrupted", e);
        }
    }

    /** Puts one of this program's files, of the resource folder {@code peer}, into the folder. */
    Path copy(String name) throws IOException {
        Path target = folder.resolve(name);
        try (InputStream in = PeerHome.class.getResourceAsStream("/peer/" + name)) {
            if (in == null) {
                throw new IllegalStateException("the program lacks " + name);
            }
            Files.copy(in, target, StandardCopyOption.REPLACE_EXISTING);
        }
        return target;
    }
}
