package org.duoattention.examples.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import javax.imageio.ImageIO;
import org.duoattention.core.head.HeadPattern;
import org.duoattention.core.head.PatternDirectory;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.databind.JsonNode;

class ScorersCommandTest {
    @TempDir
    Path directory;

    @Test
    void scorersAreComparedWithAPattern() throws Exception {
        Path out = directory.resolve("out");
        Cli.Result result = Cli.run(
                        "eval",
                        "scorers",
                        "--patterns",
                        Cli.NANO.resolve("heads").toString(),
                        "--scorers",
                        "profiling,random",
                        "--seeds",
                        "2",
                        "--samples",
                        "4",
                        "--contexts",
                        "384",
                        "--fractions",
                        "0.1875,0",
                        "--out",
                        out.toString(),
                        "--json",
                        "-")
                .ok();
        JsonNode json = result.json();
        // Needle and passkey x three scorers x two shares.
        assertThat(json.path("rows").size()).isEqualTo(12);
        assertThat(json.path("smallest").size()).isEqualTo(6);
        for (JsonNode row : json.path("rows")) {
            boolean given = row.path("scorer").asString().equals("heads");
            assertThat(row.path("patterns").asInt()).isEqualTo(given ? 1 : 2);
            if (row.path("fraction").asDouble() == 0) {
                assertThat(row.path("accuracy").asDouble()).isZero();
            } else if (given) {
                // Its authors measured .96 with these three heads.
                assertThat(row.path("accuracy").asDouble()).isGreaterThanOrEqualTo(0.5);
            }
        }
        assertThat(out.resolve("report.html")).content().contains("<svg", "data:image/png", "profiling", "random");
        assertThat(ImageIO.read(out.resolve("heads-profiling-seed-1.png").toFile()))
                .isNotNull();
        HeadPattern pattern = PatternDirectory.read(out.resolve("profiling-1"));
        assertThat(pattern.sinkSize()).isEqualTo(16);
        assertThat(pattern.recentSize()).isEqualTo(64);
        assertThat(pattern.settings()).containsEntry("method", "profiling").containsKeys("model_fingerprint", "seed");
        // The three heads of which its authors say that they find passkeys.
        assertThat(pattern.score(1, 3)).isGreaterThan(0.5);
        assertThat(pattern.score(3, 0)).isGreaterThan(0.5);
        assertThat(pattern.score(3, 2)).isGreaterThan(0.5);
        assertThat(result.err()).contains("scored heads by random", "99 % of full attention from", "report.html");
    }
}
