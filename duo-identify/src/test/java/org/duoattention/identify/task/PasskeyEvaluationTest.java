package org.duoattention.identify.task;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import org.duoattention.api.backend.Capability;
import org.duoattention.api.head.HeadMask;
import org.duoattention.core.DuoException;
import org.duoattention.core.session.CancelledException;
import org.duoattention.core.session.Duo;
import org.duoattention.core.session.Model;
import org.duoattention.core.session.SessionBuilder;
import org.duoattention.identify.constructed.ConstructedModel;
import org.duoattention.identify.text.HaystackText;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** On a checkpoint that is written by rule: full attention finds everything, the true heads do, streaming heads nothing. */
class PasskeyEvaluationTest {
    private static final PasskeyEvaluation.Settings SETTINGS = new PasskeyEvaluation.Settings(600, 4, 6, 10, 3);

    @TempDir
    private static Path folder;

    private static HeadMask trueHeads;
    private static Model model;

    @BeforeAll
    static void open() {
        ConstructedModel constructed = new ConstructedModel(new ConstructedModel.Spec(10_000, 3));
        constructed.writeTo(folder.resolve("demo"));
        trueHeads = constructed.trueHeads();
        model = Duo.create().model(folder.resolve("demo")).open();
    }

    @AfterAll
    static void close() {
        model.close();
    }

    private static PasskeyEvaluation evaluation(Set<Capability> capabilities) {
        PasskeyTask task =
                new PasskeyTask(HaystackText.generated(1), model.tokenizer().orElseThrow()::encode);
        return new PasskeyEvaluation(task, capabilities, SETTINGS);
    }

    private static Map<String, SessionBuilder> subjects() {
        Map<String, SessionBuilder> subjects = new LinkedHashMap<>();
        int chunk = PasskeyEvaluation.chunk(SETTINGS.context());
        assertThat(chunk).isEqualTo(150);
        subjects.put("full", model.session().chunk(chunk));
        subjects.put("true", duo(trueHeads).chunk(chunk));
        subjects.put("all", duo(HeadMask.all(model.shape())).chunk(chunk));
        subjects.put("none", duo(HeadMask.none(model.shape())).chunk(chunk));
        subjects.put(
                "streaming",
                model.session().policy("streaming").sinks(16).recent(64).chunk(chunk));
        return subjects;
    }

    private static SessionBuilder duo(HeadMask mask) {
        return model.session().policy("duo").heads(mask).sinks(16).recent(64);
    }

    @Test
    void theTrueHeadsFindWhatFullAttentionFinds() {
        PasskeyEvaluation evaluation = evaluation(model.device().capabilities());
        long[] tokens = {0};
        Map<String, PasskeyEvaluation.Result> results = evaluation.run(subjects(), fed -> tokens[0] += fed);
        results.forEach((name, result) -> {
            assertThat(result.samples()).isEqualTo(10);
            assertThat(result.accuracy()).as(name).isEqualTo(name.equals("none") || name.equals("streaming") ? 0 : 1);
        });
        assertThat(results.keySet()).containsExactly("full", "true", "all", "none", "streaming");
        assertThat(results.get("true").fullHeads()).isEqualTo(3);
        assertThat(results.get("true").heads()).isEqualTo(12);
        assertThat(results.get("full").fullShare()).isEqualTo(1);
        assertThat(results.get("streaming").fullShare()).isZero();
        assertThat(results.get("full").streams()).isFalse();
        // Full and all heads are one cache, streaming and no heads another: 3 caches read 3 texts each.
        assertThat(PasskeyEvaluation.distinct(evaluation.plan(subjects()))).isEqualTo(3);
        assertThat(tokens[0]).isLessThanOrEqualTo(evaluation.tokens(3)).isGreaterThan(3 * 3 * 500);
    }

    @Test
    void withoutRollbackEveryQuestionGetsACacheOfItsOwn() {
        Map<String, PasskeyEvaluation.Result> results = evaluation(Set.of()).run(subjects(), fed -> {});
        results.forEach((name, result) -> assertThat(result.exact())
                .as(name)
                .isEqualTo(name.equals("none") || name.equals("streaming") ? 0 : 10));
    }

    @Test
    void anInterruptedThreadStops() {
        Thread.currentThread().interrupt();
        try {
            assertThatThrownBy(() -> evaluation(Set.of()).run(subjects(), fed -> {}))
                    .isInstanceOf(CancelledException.class);
        } finally {
            Thread.interrupted();
        }
    }

    @Test
    void windowsThatCoverThePasskeysAreNoticed() {
        assertThat(PasskeyEvaluation.isCovered(
                        duo(trueHeads).chunk(150).maxContext(600).plan(), 600))
                .isFalse();
        assertThat(PasskeyEvaluation.isCovered(
                        duo(trueHeads).chunk(500).maxContext(600).plan(), 600))
                .isTrue();
        assertThat(PasskeyEvaluation.isCovered(model.session().maxContext(600).plan(), 600))
                .isFalse();
    }

    @Test
    void whatDoesNotFitIsRefused() {
        PasskeyTask task =
                new PasskeyTask(HaystackText.generated(1), model.tokenizer().orElseThrow()::encode);
        PasskeyEvaluation tiny = new PasskeyEvaluation(
                task, model.device().capabilities(), new PasskeyEvaluation.Settings(40, 4, 6, 10, 3));
        assertThatThrownBy(() -> tiny.run(Map.of("full", model.session()), fed -> {}))
                .isInstanceOf(DuoException.class)
                .hasMessageContainingAll("context 40", "too short");
        assertThatThrownBy(() -> new PasskeyEvaluation.Settings(64, 4, 6, 0, 3))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("0");
    }
}
