package org.duoattention.examples.cli;

import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.duoattention.core.DuoException;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ScopeType;

/** The {@code duo} command: finds the subcommand and turns every failure into a sentence and an exit code. */
@Command(
        name = "duo",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        synopsisSubcommandLabel = "COMMAND",
        description = "Runs Llama-class models on long contexts with a full KV cache for retrieval heads only.",
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:success", "1:a bug", "2:bad input", "130:interrupted"})
public final class DuoCommand {
    /** A prefill ends within one chunk; a chunk of a large model can take a while. */
    private static final int SECONDS_TO_CLEAN_UP = 30;

    @Option(
            names = "--stacktrace",
            scope = ScopeType.INHERIT,
            description = "Show the stack trace of an error (also by DUO_DEBUG=1).")
    private boolean stackTrace = System.getenv("DUO_DEBUG") != null;

    private DuoCommand() {}

    /** Runs the command line and exits. Ctrl-C cancels the work in progress and cleans up. */
    public static void main(String[] args) {
        CountDownLatch finished = new CountDownLatch(1);
        Thread worker = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            if (finished.getCount() > 0) {
                worker.interrupt();
                try {
                    boolean unused = finished.await(SECONDS_TO_CLEAN_UP, TimeUnit.SECONDS);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }
        }));
        int code;
        try {
            code = run(Console.system(), args);
        } finally {
            finished.countDown();
        }
        System.exit(code);
    }

    /**
     * Runs the command line within this process.
     *
     * @param console where to write; results are flushed
     * @return the exit code
     */
    static int run(Console console, String... args) {
        DuoCommand top = new DuoCommand();
        CommandLine commandLine = new CommandLine(top)
                .addSubcommand(new NeedleCommand(console))
                .addSubcommand(new GenerateCommand(console))
                .addSubcommand(new ChatCommand(console))
                .addSubcommand(new TemplateCommand(console))
                .addSubcommand(new ModelCommand(console))
                .addSubcommand(new PlanCommand(console))
                .addSubcommand(new BenchCommand(console))
                .addSubcommand(new CommandLine(new EvalCommand())
                        .addSubcommand(new PasskeyCommand(console))
                        .addSubcommand(new PerplexityCommand(console))
                        .addSubcommand(new ScorersCommand(console)))
                .addSubcommand(new QuantizeCommand(console))
                .addSubcommand(new IdentifyCommand(console))
                .addSubcommand(new BackendsCommand(console))
                .addSubcommand(new DemoModelCommand(console))
                .addSubcommand(new CommandLine.HelpCommand())
                .setOut(new PrintWriter(console.out(), true, StandardCharsets.UTF_8))
                .setErr(new PrintWriter(console.err(), true, StandardCharsets.UTF_8))
                .setParameterExceptionHandler((e, given) -> {
                    console.err().println("duo: " + sentence(e));
                    console.err().flush();
                    return ExitCode.USER_ERROR;
                });
        commandLine.setExecutionExceptionHandler(
                (e, command, result) -> Failures.report(e, console.err(), top.stackTrace));
        try {
            if (args.length == 0) {
                commandLine.usage(console.err());
                return ExitCode.USER_ERROR;
            }
            int code = commandLine.execute(args);
            if (code == ExitCode.OK) {
                console.flush();
            } else {
                // What went wrong has been said.
                console.out().flush();
            }
            return code;
        } catch (DuoException | Error e) {
            return Failures.report(e, console.err(), top.stackTrace);
        }
    }

    private static String sentence(ParameterException e) {
        String message = String.valueOf(e.getMessage()).strip().replaceAll("\\s*\\R\\s*", " ");
        String command = e.getCommandLine().getCommandSpec().qualifiedName();
        return message + (message.endsWith(".") ? "" : ";") + " see " + command + " --help";
    }
}
