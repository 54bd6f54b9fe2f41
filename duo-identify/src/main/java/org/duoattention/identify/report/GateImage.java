package org.duoattention.identify.report;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import javax.imageio.ImageIO;
import org.duoattention.core.head.HeadPattern;

/** Draws the scores of a pattern as a heat map: a row per layer, a column per KV head, dark is a retrieval head. */
public final class GateImage {
    private static final int CELL = 26;
    private static final int LEFT = 48;
    private static final int TOP = 40;
    private static final int MARGIN = 12;
    private static final Color LIGHT = new Color(0xF3, 0xF6, 0xFA);
    private static final Color DARK = new Color(0x0B, 0x3C, 0x7D);

    private GateImage() {}

    /** A PNG. */
    public static byte[] png(HeadPattern pattern) {
        int width = LEFT + pattern.kvHeads() * CELL + MARGIN;
        int height = TOP + pattern.layers() * CELL + MARGIN;
        BufferedImage image = new BufferedImage(width, height, BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = image.createGraphics();
        try (ByteArrayOutputStream bytes = new ByteArrayOutputStream()) {
            draw(graphics, pattern, width, height);
            ImageIO.write(image, "png", bytes);
            return bytes.toByteArray();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        } finally {
            graphics.dispose();
        }
    }

    private static void draw(Graphics2D graphics, HeadPattern pattern, int width, int height) {
        graphics.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
        graphics.setColor(Color.WHITE);
        graphics.fillRect(0, 0, width, height);
        graphics.setFont(new Font(Font.SANS_SERIF, Font.PLAIN, 11));
        graphics.setStroke(new BasicStroke(1));
        graphics.setColor(Color.DARK_GRAY);
        graphics.drawString("layer", 6, TOP - 6);
        graphics.drawString("KV head", LEFT, 14);
        for (int head = 0; head < pattern.kvHeads(); head++) {
            graphics.drawString(String.valueOf(head), LEFT + head * CELL + 8, TOP - 6);
        }
        for (int layer = 0; layer < pattern.layers(); layer++) {
            int y = TOP + layer * CELL;
            graphics.setColor(Color.DARK_GRAY);
            graphics.drawString(String.valueOf(layer), LEFT - 22, y + 17);
            for (int head = 0; head < pattern.kvHeads(); head++) {
                graphics.setColor(colour(pattern.score(layer, head)));
                graphics.fillRect(LEFT + head * CELL, y, CELL - 1, CELL - 1);
            }
        }
    }

    private static Color colour(double score) {
        return new Color(
                mix(LIGHT.getRed(), DARK.getRed(), score),
                mix(LIGHT.getGreen(), DARK.getGreen(), score),
                mix(LIGHT.getBlue(), DARK.getBlue(), score));
    }

    private static int mix(int from, int to, double share) {
        return (int) Math.round(from + (to - from) * share);
    }
}
