package org.duoattention.examples.cli;

import picocli.CommandLine.Command;

/** {@code duo eval}: the evaluations, each a subcommand. */
@Command(
        name = "eval",
        mixinStandardHelpOptions = true,
        synopsisSubcommandLabel = "EVALUATION",
        description = "Measures how well a model does under a cache policy and storage formats.")
final class EvalCommand {}
