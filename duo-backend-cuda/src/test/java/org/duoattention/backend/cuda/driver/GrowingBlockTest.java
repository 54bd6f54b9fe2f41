package org.duoattention.backend.cuda.driver;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.duoattention.backend.cuda.driver.GrowingBlock.Extent;
import org.duoattention.backend.cuda.driver.GrowingBlock.Piece;
import org.junit.jupiter.api.Test;

/** Which pieces are mapped for which extents; pages of 100 bytes. */
class GrowingBlockTest {
    private final GrowingBlock block = new GrowingBlock(1_000_000, 10_000, 100);

    private void map(List<Piece> pieces) {
        pieces.forEach(
                piece -> block.add(new PhysicalMemory.Mapping(1, block.address() + piece.offset(), piece.bytes())));
    }

    @Test
    void piecesGrowWithWhatLiesBeforeThem() {
        List<Piece> pieces = block.missing(List.of(new Extent(250, 2350)));

        assertThat(pieces.getFirst()).isEqualTo(new Piece(200, 100));
        long at = 200;
        for (Piece piece : pieces) {
            assertThat(piece.offset()).isEqualTo(at);
            assertThat(piece.bytes() % 100).isZero();
            assertThat(piece.bytes()).isBetween(100L, Math.max(100, (at - 200) / 4));
            at += piece.bytes();
        }
        assertThat(at).isEqualTo(2400);
        assertThat(pieces).hasSizeLessThan(16);
    }

    @Test
    void extentsMeetInOnePageAndOnlyGapsAreFilled() {
        map(block.missing(List.of(new Extent(0, 130), new Extent(150, 250), new Extent(999, 1000))));

        assertThat(block.mapped()).isEqualTo(300 + 100);
        assertThat(block.mappedUntil(0)).isEqualTo(300);
        assertThat(block.mappedUntil(150)).isEqualTo(300);
        assertThat(block.mappedUntil(300)).isEqualTo(300);
        assertThat(block.mappedUntil(950)).isEqualTo(1000);
        assertThat(block.missing(List.of(new Extent(0, 149), new Extent(150, 300))))
                .isEmpty();
        assertThat(block.missing(List.of(new Extent(150, 1100))).stream()
                        .mapToLong(Piece::bytes)
                        .sum())
                .isEqualTo(600 + 100);
    }

    @Test
    void whatNoExtentTouchesIsBeyond() {
        map(List.of(new Piece(0, 100), new Piece(100, 200), new Piece(300, 100), new Piece(900, 100)));

        assertThat(block.beyond(List.of(new Extent(10, 101), new Extent(399, 400))))
                .containsExactly(900L);
        assertThat(block.beyond(List.of(new Extent(10, 100), new Extent(400, 500))))
                .containsExactly(100L, 300L, 900L);
        assertThat(block.beyond(List.of())).containsExactly(0L, 100L, 300L, 900L);
    }
}
