package org.duoattention.identify.report;

import static org.assertj.core.api.Assertions.assertThat;

import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.imageio.ImageIO;
import javax.xml.parsers.DocumentBuilderFactory;
import org.duoattention.core.head.HeadPattern;
import org.junit.jupiter.api.Test;
import org.w3c.dom.Document;

class OutcomeReportTest {
    private static final HeadPattern PATTERN =
            new HeadPattern(new double[][] {{0, 1, 0.5}, {1, 0, 0}}, 16, 64, Map.of());

    private static String html() {
        List<Double> fractions = List.of(0.0, 0.5, 1.0);
        AccuracyCurve one = new AccuracyCurve(
                "good & <cheap>", fractions, List.of(List.of(0.0, 0.1), List.of(0.97, 0.99), List.of(0.98, 0.98)));
        AccuracyCurve other =
                new AccuracyCurve("random", fractions, List.of(List.of(0.0), List.of(0.4), List.of(0.96)));
        return new OutcomeReport(
                        "Heads of <m>",
                        Map.of("model", "a & b"),
                        List.of(new TaskOutcome("passkey", 512, 4, 200, 0.98, 0.0, List.of(one, other))),
                        List.of(new Candidate("good", "seed 1", PATTERN)),
                        List.of(new LossCurve("seed 1", new double[] {3, 2, 1}, new double[] {1, 0.8, 0.6})))
                .html();
    }

    @Test
    void theFileNeedsNoOther() {
        assertThat(html())
                .doesNotContainPattern("(?:src|href)=\"(?!data:)")
                .doesNotContain("url(", "@import", "<script", "<link")
                .contains("Heads of &lt;m&gt;", "a &amp; b", "good &amp; &lt;cheap&gt;");
    }

    @Test
    void theTablesHoldTheFigures() {
        String text = html().replaceAll("<[^>]*>", " ").replaceAll("\\s+", " ");
        assertThat(text)
                // 99 % of .98 is .9702: the first scorer's .98 at half of the heads is enough, .96 with all is not.
                .contains("passkey, 4 passkeys in 512 tokens 98.0 % 0.0 % 50.0 % none")
                .contains("50.0 % 98.0 ± 1.4 % 40.0 %")
                .contains("200 questions per point");
    }

    @Test
    void thePlotsAreSvg() throws Exception {
        Matcher svg = Pattern.compile("<svg.*?</svg>", Pattern.DOTALL).matcher(html());
        int plots = 0;
        while (svg.find()) {
            Document document = DocumentBuilderFactory.newInstance()
                    .newDocumentBuilder()
                    .parse(new ByteArrayInputStream(svg.group().getBytes(StandardCharsets.UTF_8)));
            assertThat(document.getElementsByTagName("polyline").getLength()).isPositive();
            plots++;
        }
        assertThat(plots).as("accuracy, distance and gates").isEqualTo(3);
    }

    @Test
    void theHeatMapIsDarkWhereTheScoreIsHigh() throws IOException {
        Matcher data = Pattern.compile("data:image/png;base64,([^\"]+)").matcher(html());
        assertThat(data.find()).isTrue();
        BufferedImage image =
                ImageIO.read(new ByteArrayInputStream(Base64.getDecoder().decode(data.group(1))));
        // Cells of 26 pixels from (48, 40) on.
        int streaming = brightness(image, 0, 0);
        int half = brightness(image, 0, 2);
        int retrieval = brightness(image, 0, 1);
        assertThat(retrieval).isLessThan(half);
        assertThat(half).isLessThan(streaming);
        assertThat(brightness(image, 1, 0)).isEqualTo(retrieval);
    }

    private static int brightness(BufferedImage image, int layer, int head) {
        int rgb = image.getRGB(48 + head * 26 + 13, 40 + layer * 26 + 13);
        return (rgb >> 16 & 255) + (rgb >> 8 & 255) + (rgb & 255);
    }
}
