package org.duoattention.examples.quickstart;

import java.nio.file.Path;
import org.duoattention.core.session.GenerationRequest;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.Session;

/** Continues a prompt with DuoAttention: a checkpoint directory, a head pattern directory and the prompt. */
public final class Quickstart {
    private Quickstart() {}

    public static void main(String[] args) {
        try (Model model = Model.open(Path.of(args[0]));
                Session session = model.session()
                        .policy("duo")
                        .heads("pattern", java.util.Map.of("directory", args[1]))
                        .open()) {
            session.prefill(args[2]);
            System.out.println(session.generate(GenerationRequest.greedy(32)).text());
        }
    }
}
