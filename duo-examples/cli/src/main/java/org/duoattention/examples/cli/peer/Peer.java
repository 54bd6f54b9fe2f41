package org.duoattention.examples.cli.peer;

import java.util.List;
import org.duoattention.examples.cli.bench.Contender;

/** Another engine that runs the same shape. Owns its processes and files. */
public interface Peer extends AutoCloseable {
    /**
     * A contender for each of its settings that is worth measuring; to be asked for once.
     *
     * @param deepest depth up to which they take part
     * @param longest most tokens in a cache, of prefills and decodes up to that depth
     */
    List<Contender> contenders(int deepest, int longest);

    @Override
    void close();
}
