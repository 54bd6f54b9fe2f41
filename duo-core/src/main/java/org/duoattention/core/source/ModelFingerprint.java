package org.duoattention.core.source;

import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import org.duoattention.core.load.WeightSource;
import org.duoattention.core.model.ModelConfig;
import org.duoattention.core.model.RopeScaling;

/**
 * Tells models apart cheaply, however large they are: SHA-256 of the configuration that the forward pass reads, and of
 * every tensor's name, size in bytes, and 256 bytes each from its beginning, middle and end. A change of single weights
 * elsewhere is not seen. A quantised or converted copy of a model has a fingerprint of its own.
 */
public final class ModelFingerprint {
    private static final int SAMPLE = 256;
    private static final int SAMPLES = 3;

    private ModelFingerprint() {}

    /** The fingerprint as 64 hexadecimal digits. */
    public static String of(ModelConfig config, WeightSource weights) {
        MessageDigest digest = sha256();
        text(
                digest,
                config.family() + " " + config.shape() + " " + config.rmsNormEps() + " "
                        + config.rope().theta() + " " + scaling(config) + " "
                        + List.of(
                                config.tieWordEmbeddings(),
                                config.queryKeyValueBias(),
                                config.outputBias(),
                                config.mlpBias(),
                                config.queryKeyNorm()));
        for (String name : weights.names()) {
            weights.bytes(name).ifPresent(bytes -> {
                long size = bytes.byteSize();
                text(digest, name + " " + size);
                long length = Math.min(SAMPLE, size);
                for (int i = 0; i < SAMPLES; i++) {
                    long at = (size - length) / (SAMPLES - 1) * i;
                    digest.update(bytes.asSlice(at, length).asByteBuffer());
                }
            });
        }
        return HexFormat.of().formatHex(digest.digest());
    }

    private static String scaling(ModelConfig config) {
        RopeScaling scaling = config.rope().scaling();
        return scaling.toString();
    }

    private static void text(MessageDigest digest, String text) {
        digest.update(text.getBytes(StandardCharsets.UTF_8));
        digest.update((byte) 0);
    }

    private static MessageDigest sha256() {
        try {
            return MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java platform has SHA-256", e);
        }
    }
}
