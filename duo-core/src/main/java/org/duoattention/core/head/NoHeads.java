package org.duoattention.core.head;

import java.util.Set;
import org.duoattention.api.head.HeadMask;
import org.duoattention.api.head.HeadMaskRequest;
import org.duoattention.api.head.HeadMaskSource;

/** {@code none}: every KV head is a streaming head. */
public final class NoHeads implements HeadMaskSource {
    @Override
    public String name() {
        return "none";
    }

    @Override
    public HeadMask headMask(HeadMaskRequest request) {
        new SourceOptions(name(), request.options(), Set.of());
        return HeadMask.none(request.shape());
    }
}
