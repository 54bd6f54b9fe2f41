package org.duoattention.core.session;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.model.HeadSet;
import org.duoattention.api.tensor.BlockFormat;
import org.duoattention.core.DuoException;
import org.duoattention.tck.OpaqueBackend;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Sessions that are saved to a file and go on in another process: here, in another model object. */
class SavedSessionTest {
    private static final HeadMask MASK = HeadMask.of(TinyCheckpoint.KV_HEADS, List.of(HeadSet.of(1), HeadSet.empty()));

    @TempDir
    private Path directory;

    private final OpaqueBackend backend = new OpaqueBackend();
    private Model model;
    private Model other;
    private Path file;

    @BeforeEach
    void open() {
        Path checkpoint = TinyCheckpoint.write(directory);
        model = TestDuo.with(backend).model(checkpoint).open();
        other = TestDuo.with(backend).model(checkpoint).open();
        file = directory.resolve("saved");
    }

    @AfterEach
    void nothingIsLeft() throws IOException {
        model.close();
        other.close();
        backend.assertClosed();
        try (var files = Files.list(directory)) {
            assertThat(files.map(Path::toString)).noneMatch(name -> name.endsWith(".part"));
        }
    }

    private static SessionBuilder duo(Model model) {
        return model.session()
                .kv(BlockFormat.F32)
                .maxContext(256)
                .chunk(16)
                .policy("duo")
                .heads(MASK)
                .sinks(2)
                .recent(8);
    }

    private static int[] ids(int count, long seed) {
        Random random = new Random(seed);
        return IntStream.range(0, count)
                .map(i -> 3 + random.nextInt(TinyCheckpoint.VOCABULARY - 3))
                .toArray();
    }

    private static List<Integer> answer(Session session) {
        List<Integer> tokens = new ArrayList<>();
        GenerationRequest request =
                GenerationRequest.builder().maxNewTokens(9).ignoreEndTokens().build();
        for (SessionEvent event : session.generate(request)) {
            if (event instanceof SessionEvent.Token token) {
                tokens.add(token.id());
            }
        }
        return tokens;
    }

    @ParameterizedTest
    @ValueSource(ints = {16, 48, 80})
    void aPrefillGoesOnInAnotherProcess(int before) {
        int[] ids = ids(90, 1);
        try (Session whole = duo(model).open();
                Session first = duo(model).open();
                Session second = duo(other).open()) {
            whole.prefill(ids);
            first.prefill(Arrays.copyOf(ids, before));
            first.save(file, false);
            SavedSession saved = SavedSession.read(file);
            assertThat(saved.complete()).isFalse();
            assertThat(saved.tokens()).isEqualTo(Arrays.copyOf(ids, before));
            assertThat(saved.maxContext()).isEqualTo(256);
            second.restore(saved);
            assertThat(second.length()).isEqualTo(before);
            second.prefill(Arrays.copyOfRange(ids, before, ids.length));
            assertThat(second.logits()).containsExactly(whole.logits());
            assertThat(second.tokens()).isEqualTo(ids);
            assertThat(answer(second)).isEqualTo(answer(whole));
        }
    }

    @Test
    void generationGoesOnAtOnceAndAfterARollback() {
        int[] ids = ids(70, 2);
        try (Session whole = duo(model).open();
                Session first = duo(model).open();
                Session second = duo(other).open()) {
            whole.prefill(ids);
            first.prefill(ids);
            first.save(file, true);
            SavedSession saved = SavedSession.read(file);
            assertThat(saved.complete()).isTrue();
            assertThat(saved.hasLogits()).isTrue();
            second.restore(saved);
            assertThat(second.logits()).containsExactly(whole.logits());
            List<Integer> expected = answer(whole);
            assertThat(answer(second)).isEqualTo(expected);
            second.rollback(9);
            assertThat(answer(second)).isEqualTo(expected);
        }
    }

    @Test
    void aTokenThatWasChosenButNotFedIsNotSaved() {
        try (Session first = duo(model).open();
                Session second = duo(other).open()) {
            first.prefill(ids(20, 3));
            List<Integer> answer = answer(first);
            first.save(file, true);
            SavedSession saved = SavedSession.read(file);
            // The last token of an answer is fed when something follows it.
            assertThat(saved.length()).isEqualTo(20 + answer.size() - 1);
            assertThat(saved.hasLogits()).isFalse();
            second.restore(saved);
            assertThatThrownBy(second::logits)
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("prefill at least");
            second.prefill(new int[] {answer.getLast()});
            first.prefill(ids(1, 4));
            second.prefill(ids(1, 4));
            assertThat(second.logits()).containsExactly(first.logits());
        }
    }

    @Test
    void thePromptsBeginningIsCompared() {
        int[] ids = ids(40, 5);
        try (Session session = duo(model).open()) {
            session.prefill(ids);
            session.save(file, true);
        }
        SavedSession saved = SavedSession.read(file);
        int[] changed = ids.clone();
        changed[17]++;
        assertThat(saved.commonPrefix(ids)).isEqualTo(40);
        assertThat(saved.commonPrefix(changed)).isEqualTo(17);
        assertThat(saved.commonPrefix(Arrays.copyOf(ids, 60))).isEqualTo(40);
        assertThat(saved.commonPrefix(Arrays.copyOf(ids, 10))).isEqualTo(10);
        assertThat(saved.commonPrefix(new int[0])).isZero();
    }

    @Test
    void otherSettingsAreNamed() {
        try (Session session = duo(model).open()) {
            session.prefill(ids(40, 6));
            session.save(file, true);
        }
        SavedSession saved = SavedSession.read(file);
        refused(duo(other).chunk(8), saved, "was saved with chunk 16, this session has 8");
        refused(duo(other).kv(BlockFormat.F16), saved, "was saved with kv ");
        refused(duo(other).recent(9), saved, "was saved with recent 8, this session has 9");
        refused(duo(other).maxContext(300), saved, "was saved with maxContext 256, this session has 300");
        refused(duo(other).heads(HeadMask.none(other.shape())), saved, "was saved with heads ");
        try (Session used = duo(other).open()) {
            used.prefill(ids(3, 7));
            assertThatThrownBy(() -> used.restore(saved)).isInstanceOf(IllegalStateException.class);
        }
    }

    private static void refused(SessionBuilder builder, SavedSession saved, String message) {
        try (Session session = builder.open()) {
            assertThatThrownBy(() -> session.restore(saved))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining(message);
            session.prefill(ids(3, 8));
        }
    }

    @Test
    void damageIsNoticedWhereverItMatters() throws IOException {
        float[] logits;
        try (Session session = duo(model).open()) {
            session.prefill(ids(40, 9));
            logits = session.logits();
            session.save(file, true);
        }
        byte[] good = Files.readAllBytes(file);
        int harmless = 0;
        for (int at = 0; at < good.length; at += 1 + at / 97) {
            byte[] bad = good.clone();
            bad[at] ^= 0x20;
            Files.write(file, bad);
            harmless += restores(logits) ? 1 : 0;
        }
        assertThat(harmless).as("changed bytes that mean nothing").isLessThan(good.length / 97);
        for (int size : new int[] {0, 7, 15, 16, 100, good.length / 2, good.length - 1}) {
            Files.write(file, Arrays.copyOf(good, size));
            assertThatThrownBy(() -> SavedSession.read(file))
                    .as("%d bytes", size)
                    .isInstanceOf(DuoException.class);
        }
        Files.write(file, Arrays.copyOf(good, good.length + 1));
        assertThatThrownBy(() -> SavedSession.read(file)).isInstanceOf(DuoException.class);
        assertThatThrownBy(() -> SavedSession.read(directory.resolve("absent")))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("absent");
    }

    /** Whether a file with one changed byte is restored all the same: then it lay in a gap, and nothing else changed. */
    private boolean restores(float[] logits) {
        SavedSession saved;
        try {
            saved = SavedSession.read(file);
        } catch (DuoException e) {
            return false;
        }
        try (Session session = duo(other).open()) {
            try {
                session.restore(saved);
            } catch (DuoException e) {
                return false;
            }
            assertThat(session.tokens()).isEqualTo(ids(40, 9));
            assertThat(session.logits()).containsExactly(logits);
            return true;
        }
    }

    @Test
    void aFileThatCannotBeWrittenIsNamed() {
        Path absent = directory.resolve("no").resolve("such");
        try (Session session = duo(model).open()) {
            session.prefill(ids(4, 10));
            assertThatThrownBy(() -> session.save(absent, true))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining(absent.toString());
            assertThat(answer(session)).hasSize(9);
        }
    }

    @Test
    void contentThatTheModelCannotHaveIsRefusedBeforeTheCacheIsTouched() {
        try (Session session = duo(other).open()) {
            long[] sizes = new long[session.memory().size()];
            int[] few = ids(3, 11);
            refusedContent(session, new int[] {3, TinyCheckpoint.VOCABULARY}, null, sizes, "is damaged");
            refusedContent(session, new int[] {3, -1}, null, sizes, "is damaged");
            refusedContent(session, ids(257, 12), null, sizes, "is damaged");
            refusedContent(session, few, new float[TinyCheckpoint.VOCABULARY - 1], sizes, "is damaged");
            refusedContent(session, few, null, new long[sizes.length - 1], "holds " + (sizes.length - 1) + " slabs");
            refusedContent(session, few, null, new long[sizes.length + 1], "holds " + (sizes.length + 1) + " slabs");
            session.prefill(few);
            assertThat(session.tokens()).isEqualTo(few);
        }
    }

    private void refusedContent(
            Session session, int[] tokens, float @Nullable [] logits, long[] slabs, String message) {
        new SessionFile(other.settings(session.options()), true, tokens, logits, slabs).write(file, targets -> {});
        SavedSession saved = SavedSession.read(file);
        assertThatThrownBy(() -> session.restore(saved))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining(file.toString())
                .hasMessageContaining(message);
    }

    @Test
    void aSessionThatNothingWasFedToIsSavedAndRestored() {
        try (Session first = duo(model).open();
                Session second = duo(other).open()) {
            first.save(file, false);
            second.restore(SavedSession.read(file));
            assertThat(second.length()).isZero();
            first.prefill(ids(80, 13));
            second.prefill(ids(80, 13));
            assertThat(second.logits()).containsExactly(first.logits());
        }
    }

    @Test
    void aDiskThatFillsUpMeanwhileLeavesNothing() {
        SessionFile saved = new SessionFile(Map.of(), true, new int[] {1}, null, new long[] {64});
        // What the JVM makes of a fault in mapped memory.
        assertThatThrownBy(() -> saved.write(file, targets -> {
                    throw new InternalError("a fault occurred in an unsafe memory access operation");
                }))
                .isInstanceOf(DuoException.class)
                .hasMessageContainingAll(file.toString(), "the disk is full");
        assertThat(file).doesNotExist();
    }
}
