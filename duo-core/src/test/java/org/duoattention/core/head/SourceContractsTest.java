package org.duoattention.core.head;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.duoattention.api.head.HeadMaskRequest;
import org.duoattention.api.head.HeadMaskSource;
import org.duoattention.api.model.ModelShape;
import org.duoattention.tck.HeadMaskSourceContract;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Nested;
import org.junit.jupiter.api.io.TempDir;

/** The built-in mask sources keep the contract that plugins keep. */
class SourceContractsTest {
    private static final ModelShape SHAPE = new ModelShape(3, 8, 4, 2, 2, 8, 8);

    @Nested
    class All extends HeadMaskSourceContract {
        @Override
        protected HeadMaskSource source() {
            return new AllHeads();
        }
    }

    @Nested
    class None extends HeadMaskSourceContract {
        @Override
        protected HeadMaskSource source() {
            return new NoHeads();
        }
    }

    @Nested
    class Pattern extends HeadMaskSourceContract {
        @TempDir
        Path directory;

        @BeforeEach
        void write() {
            double[][] scores = {{1, 0.5}, {0.25, 0}, {0.5, 0.5}};
            PatternDirectory.write(directory, new HeadPattern(scores, 4, 8, Map.of()));
        }

        @Override
        protected HeadMaskSource source() {
            return new PatternHeads();
        }

        @Override
        protected List<HeadMaskRequest> validRequests() {
            String here = directory.toString();
            return List.of(
                    request(Map.of("directory", here)),
                    request(Map.of("directory", here, "sparsity", "0.3")),
                    request(Map.of("directory", here, "threshold", "0.5")));
        }

        @Override
        protected boolean refusesOtherShapes() {
            return true;
        }
    }

    @Nested
    class Mask extends HeadMaskSourceContract {
        @TempDir
        Path directory;

        @BeforeEach
        void write() throws IOException {
            Files.writeString(directory.resolve("mask.tsv"), "1\t0\n0\t0\n1\t1\n");
        }

        @Override
        protected HeadMaskSource source() {
            return new MaskFileHeads();
        }

        @Override
        protected List<HeadMaskRequest> validRequests() {
            return List.of(request(Map.of("file", directory.resolve("mask.tsv").toString())));
        }

        @Override
        protected boolean refusesOtherShapes() {
            return true;
        }
    }

    private static HeadMaskRequest request(Map<String, String> options) {
        return new HeadMaskRequest(SHAPE, Optional.empty(), options);
    }
}
