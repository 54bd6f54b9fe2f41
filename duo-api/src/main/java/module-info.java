/** The service interfaces of Duo and the values they speak in; depends on the JDK only. */
module org.duoattention.api {}
