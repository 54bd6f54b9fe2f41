/** The {@code duo} command line. */
module org.duoattention.examples.cli {
    requires org.duoattention.core;
    requires org.duoattention.identify;
    requires info.picocli;
    requires me.tongfei.progressbar;
    requires xchart;
    requires tools.jackson.databind;
    requires static org.jspecify;

    opens org.duoattention.examples.cli to
            info.picocli;
}
