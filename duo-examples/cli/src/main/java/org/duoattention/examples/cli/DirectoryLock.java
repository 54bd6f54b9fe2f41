package org.duoattention.examples.cli;

import java.io.IOException;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.channels.OverlappingFileLockException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.duoattention.core.DuoException;
import org.jspecify.annotations.Nullable;

/**
 * Keeps other processes out of an output directory that is worked on for a while. The system gives the lock back when the
 * process ends, however it ends; the file stays, because a process that waits to lock a removed file would lock nothing.
 */
final class DirectoryLock implements AutoCloseable {
    private static final String NAME = ".duo.lock";

    private final FileChannel channel;

    private DirectoryLock(FileChannel channel) {
        this.channel = channel;
    }

    /**
     * Locks a directory, which is made when necessary.
     *
     * @throws DuoException when another process works in it, or it cannot be written
     */
    static DirectoryLock take(Path directory, String option) {
        try {
            Files.createDirectories(directory);
            FileChannel channel =
                    FileChannel.open(directory.resolve(NAME), StandardOpenOption.CREATE, StandardOpenOption.WRITE);
            if (lock(channel) == null) {
                channel.close();
                throw new DuoException(option + " " + directory
                        + " is in use by another duo; wait until it has finished, or choose another directory");
            }
            return new DirectoryLock(channel);
        } catch (IOException e) {
            throw new DuoException(option + " " + directory + " cannot be locked: " + e.getMessage(), e);
        }
    }

    /** Null when somebody else has it, in another process or in this one. */
    private static @Nullable FileLock lock(FileChannel channel) throws IOException {
        try {
            return channel.tryLock();
        } catch (OverlappingFileLockException e) {
            return null;
        }
    }

    @Override
    public void close() {
        try {
            channel.close();
        } catch (IOException e) {
            throw new DuoException("A lock cannot be given back: " + e.getMessage(), e);
        }
    }
}
