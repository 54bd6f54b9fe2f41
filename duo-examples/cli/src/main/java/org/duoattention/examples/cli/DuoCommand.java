package org.duoattention.examples.cli;

/** Entry point of the command line. */
public final class DuoCommand {
    private DuoCommand() {}

    public static void main(String[] args) {
        System.out.println("usage: duo COMMAND [options]");
    }
}
