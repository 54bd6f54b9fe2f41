/** The {@code duo} command line. */
module org.duoattention.examples.cli {
    requires org.duoattention.core;
    requires org.duoattention.identify;
    requires com.google.guice;
    requires info.picocli;
    requires java.desktop;
    requires java.management;
    requires jdk.incubator.vector;
    requires jdk.management;
    requires me.tongfei.progressbar;
    requires org.jline.reader;
    requires org.jline.terminal;
    requires tools.jackson.databind;
    requires xchart;
    requires static org.jspecify;

    opens org.duoattention.examples.cli to
            info.picocli;
}
