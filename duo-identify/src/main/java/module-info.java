/** Finding retrieval heads and measuring what a head mask keeps. */
module org.duoattention.identify {
    requires transitive org.duoattention.core;
    requires org.duoattention.quant;
    requires java.desktop;
    requires tools.jackson.databind;
    requires static org.jspecify;

    exports org.duoattention.identify.constructed;
    exports org.duoattention.identify.data;
    exports org.duoattention.identify.report;
    exports org.duoattention.identify.score;
    exports org.duoattention.identify.distill;
    exports org.duoattention.identify.task;
    exports org.duoattention.identify.text;
    exports org.duoattention.identify.train;
}
