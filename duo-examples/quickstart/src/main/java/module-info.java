/** The library in five lines. */
module org.duoattention.examples.quickstart {
    requires org.duoattention.core;
    requires static org.jspecify;
}
