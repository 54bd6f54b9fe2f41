package org.duoattention.examples.cli;

import java.awt.Color;
import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.ArrayList;
import java.util.List;
import javax.imageio.ImageIO;
import org.knowm.xchart.HeatMapChart;
import org.knowm.xchart.HeatMapChartBuilder;

/** Draws accuracy over context length and depth. */
final class HeatMap {
    private static final Color[] RED_TO_GREEN = {
        new Color(0xD7, 0x30, 0x27), new Color(0xFE, 0xE0, 0x8B), new Color(0x1A, 0x98, 0x50)
    };

    private HeatMap() {}

    /**
     * A PNG.
     *
     * @param title shown above
     * @param contexts columns
     * @param depths rows, 0 to 1
     * @param accuracy share of exact answers by context and depth
     */
    static byte[] png(String title, List<Integer> contexts, List<Double> depths, double[][] accuracy) {
        HeatMapChart chart = new HeatMapChartBuilder()
                .width(240 + 90 * contexts.size())
                .height(160 + 60 * depths.size())
                .title(title)
                .xAxisTitle("context in tokens")
                .yAxisTitle("depth of the needle in %")
                .build();
        chart.getStyler()
                .setShowValue(true)
                .setHeatMapValueDecimalPattern("0")
                .setMin(0)
                .setMax(100)
                .setRangeColors(RED_TO_GREEN)
                .setChartBackgroundColor(Color.WHITE);
        List<Number[]> cells = new ArrayList<>();
        for (int column = 0; column < contexts.size(); column++) {
            for (int row = 0; row < depths.size(); row++) {
                cells.add(new Number[] {column, row, 100 * accuracy[column][row]});
            }
        }
        chart.addSeries(
                "accuracy in %",
                contexts.stream().map(String::valueOf).toList(),
                depths.stream()
                        .map(depth -> String.valueOf(Math.round(100 * depth)))
                        .toList(),
                cells);
        return png(chart);
    }

    private static byte[] png(HeatMapChart chart) {
        BufferedImage image = new BufferedImage(chart.getWidth(), chart.getHeight(), BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = image.createGraphics();
        try (ByteArrayOutputStream bytes = new ByteArrayOutputStream()) {
            chart.paint(graphics, chart.getWidth(), chart.getHeight());
            ImageIO.write(image, "png", bytes);
            return bytes.toByteArray();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            graphics.dispose();
        }
    }
}
