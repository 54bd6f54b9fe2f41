package org.duoattention.core.head;

import java.nio.file.Path;
import java.util.OptionalDouble;
import java.util.Set;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.head.HeadMaskRequest;
import org.duoattention.api.head.HeadMaskSource;
import org.duoattention.core.DuoException;

/**
 * {@code pattern}: the heads that a published pattern names. Options: {@code directory}, the pattern; and either {@code
 * sparsity}, the share of streaming heads (0.5 when neither is given), or {@code threshold}, the lowest score of a
 * retrieval head. The {@code sparsity} and {@code threshold} that a pattern's own config.json may hold are arguments of
 * the training program's evaluation step, not a recommendation, and are not used.
 */
public final class PatternHeads implements HeadMaskSource {
    private static final String DIRECTORY = "directory";
    private static final String SPARSITY = "sparsity";
    private static final String THRESHOLD = "threshold";
    private static final double DEFAULT_SPARSITY = 0.5;

    @Override
    public String name() {
        return "pattern";
    }

    @Override
    public HeadMask headMask(HeadMaskRequest request) {
        SourceOptions options = new SourceOptions(name(), request.options(), Set.of(DIRECTORY, SPARSITY, THRESHOLD));
        Path directory = options.path(DIRECTORY, "the directory of a head pattern");
        HeadSelection selection = selection(options);
        try {
            HeadPattern pattern = PatternDirectory.read(directory);
            HeadTable.checkShape(
                    directory.resolve(PatternDirectory.SCORES), pattern.layers(), pattern.kvHeads(), request.shape());
            return selection.select(pattern);
        } catch (DuoException e) {
            // What the contract of mask sources asks for.
            throw new IllegalArgumentException(e.getMessage(), e);
        }
    }

    private static HeadSelection selection(SourceOptions options) {
        OptionalDouble sparsity = options.fraction(SPARSITY);
        OptionalDouble threshold = options.fraction(THRESHOLD);
        if (sparsity.isPresent() && threshold.isPresent()) {
            throw new IllegalArgumentException("options '" + SPARSITY + "' and '" + THRESHOLD
                    + "' of head source 'pattern' exclude each other; give one of them");
        }
        return threshold.isPresent()
                ? new HeadSelection.ByThreshold(threshold.getAsDouble())
                : new HeadSelection.BySparsity(sparsity.orElse(DEFAULT_SPARSITY));
    }
}
