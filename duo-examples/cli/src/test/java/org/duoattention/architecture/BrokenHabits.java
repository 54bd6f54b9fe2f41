package org.duoattention.architecture;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Breaks every habit, to prove that the rules notice. */
final class BrokenHabits {
    private BrokenHabits() {}

    static MemorySegment breakAll(String name) throws ClassNotFoundException {
        System.out.println(Class.forName(name));
        Arena.ofShared().allocate(8);
        return Arena.ofAuto().allocate(8).reinterpret(4);
    }
}
