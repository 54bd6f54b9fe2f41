package org.duoattention.core.template;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.duoattention.core.DuoException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import tools.jackson.databind.json.JsonMapper;

class ChatTemplateTest {
    private static final List<Map<String, String>> HELLO = List.of(Map.of("role", "user", "content", "Hi"));

    @TempDir
    Path directory;

    @Test
    void loadsTheTemplateOfTheTokenizerConfiguration() throws IOException {
        config(Map.of(
                "bos_token", Map.of("content", "<s>", "lstrip", false),
                "eos_token", "</s>",
                "chat_template", "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}{{ pad_token }}"));
        assertThat(ChatTemplate.isPresent(directory)).isTrue();
        assertThat(ChatTemplate.load(directory).render(HELLO, null, true, Map.of()))
                .isEqualTo("<s>Hi</s>");
    }

    @Test
    void takesTheTemplateForToolsWhenThereAreTools() throws IOException {
        config(Map.of(
                "chat_template",
                List.of(
                        Map.of("name", "default", "template", "plain {{ tools is none }}"),
                        Map.of("name", "tool_use", "template", "tools {{ tools|length }}"))));
        ChatTemplate template = ChatTemplate.load(directory);
        assertThat(template.render(HELLO, null, true, Map.of())).isEqualTo("plain True");
        assertThat(template.render(HELLO, List.of(Map.of("name", "f")), true, Map.of()))
                .isEqualTo("tools 1");
    }

    @Test
    void namedTemplatesWithoutADefaultAreRefusedWhenOneIsNeeded() throws IOException {
        config(Map.of("chat_template", List.of(Map.of("name", "tool_use", "template", "x"))));
        ChatTemplate template = ChatTemplate.load(directory);
        assertThatThrownBy(() -> template.render(HELLO, null, true, Map.of()))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("[tool_use]");
    }

    @Test
    void filesGoBeforeTheConfiguration() throws IOException {
        config(Map.of("chat_template", "old"));
        Files.writeString(directory.resolve("chat_template.jinja"), "new\n");
        Files.createDirectory(directory.resolve("additional_chat_templates"));
        Files.writeString(directory.resolve("additional_chat_templates/tool_use.jinja"), "further");
        ChatTemplate template = ChatTemplate.load(directory);
        assertThat(template.render(HELLO, null, true, Map.of())).isEqualTo("new");
        assertThat(template.render(HELLO, List.of(), true, Map.of())).isEqualTo("further");
    }

    @Test
    void readsTheOlderJsonFile() throws IOException {
        Files.writeString(directory.resolve("chat_template.json"), "{\"chat_template\": \"from json\"}");
        assertThat(ChatTemplate.load(directory).render(HELLO, null, true, Map.of()))
                .isEqualTo("from json");
    }

    @Test
    void saysWhenThereIsNoTemplate() throws IOException {
        config(Map.of("bos_token", "<s>"));
        assertThat(ChatTemplate.isPresent(directory)).isFalse();
        assertThatThrownBy(() -> ChatTemplate.load(directory))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining(directory + " has no chat template")
                .hasMessageContaining("--prompt");
    }

    @Test
    void refusesAMalformedConfiguration() throws IOException {
        for (Object wrong : List.of(7, Map.of("a", "b"), List.of("x"), List.of(Map.of("name", "default")))) {
            config(Map.of("chat_template", wrong));
            assertThatThrownBy(() -> ChatTemplate.load(directory))
                    .isInstanceOf(DuoException.class)
                    .hasMessageContaining("chat_template must be a string or a list");
        }
        Files.writeString(directory.resolve("tokenizer_config.json"), "{\"chat_template\": ");
        assertThatThrownBy(() -> ChatTemplate.load(directory)).hasMessageContaining("not valid JSON");
    }

    @Test
    void aRefusalOfTheTemplateIsQuoted() {
        ChatTemplate template = ChatTemplate.of("{{ raise_exception('Roles must alternate!') }}", Map.of());
        assertThatThrownBy(() -> template.render(HELLO, null, true, Map.of()))
                .isInstanceOf(DuoException.class)
                .hasMessageEndingWith(" refuses the conversation: Roles must alternate!");
    }

    @Test
    void anUnknownStatementIsNamedWithItsLineWhenLoading() {
        assertThatThrownBy(() -> ChatTemplate.of("a\n\n{% include 'x' %}", Map.of()))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("line 3: the statement 'include' is not supported by this program");
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "{{ x|groupby('a') }} the filter 'groupby'",
                "{{ x is escaped }} the test 'escaped'",
                "{{ 'a'.encode() }} the string method 'encode'",
                "{{ lipsum() }} 'lipsum'",
                "{% for i in x recursive %}{% endfor %} a recursive loop",
                "{{ range }} printing a value of type function",
                "{{ [1]|tojson(default=1) }} the argument 'default' of tojson()",
                "{{ strftime_now('%Q') }} the date format '%Q'",
                "{{ 9223372036854775807 + 1 }} an integer of more than 64 bits",
            })
    void unsupportedConstructsAreNamed(String example) {
        int end = example.lastIndexOf('}') + 1;
        assertThatThrownBy(() -> ChatTemplate.of("line\n" + example.substring(0, end), Map.of())
                        .render(HELLO, null, true, Map.of("x", List.of(1))))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("line 2: " + example.substring(end + 1) + " is not supported by this program");
    }

    @Test
    void errorsTellTheLine() {
        ChatTemplate template = ChatTemplate.of("{% if true %}\n\n{{ messages[0].nothing.more }}{% endif %}", Map.of());
        assertThatThrownBy(() -> template.render(HELLO, null, true, Map.of()))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("The chat template, line 3: 'dict object' has no attribute 'nothing'");
    }

    @Test
    void variablesReachTheTemplateAndItsOwnCannotBeReplaced() {
        ChatTemplate template = ChatTemplate.of("{{ thinking }} {{ documents }} {{ none_given }}", Map.of());
        assertThat(template.render(HELLO, null, true, Map.of("thinking", true))).isEqualTo("True None ");
        assertThatThrownBy(() -> template.render(HELLO, null, true, Map.of("tools", 1)))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("'tools'");
    }

    @Test
    void takesPlainJavaValues() {
        ChatTemplate template = ChatTemplate.of("{{ v }}", Map.of());
        assertThat(template.render(
                        List.of(),
                        null,
                        true,
                        Map.of("v", Arrays.asList(1, 2L, (short) 3, 1.5f, "a", true, null, Map.of("k", 0.1)))))
                .isEqualTo("[1, 2, 3, 1.5, 'a', True, None, {'k': 0.1}]");
        assertThatThrownBy(() -> template.render(List.of(), null, true, Map.of("v", new Object())))
                .isInstanceOf(DuoException.class)
                .hasMessageContaining("expected plain JSON");
    }

    @Test
    void templatesCannotChangeTheMessages() {
        List<Object> messages = new ArrayList<>(List.of(Map.of("role", "user")));
        ChatTemplate template = ChatTemplate.of("{{ messages.append(1) }}", Map.of());
        assertThatThrownBy(() -> template.render(messages, null, true, Map.of()))
                .hasMessageContaining("the method 'append' would change a list, which templates may not do");
        assertThat(messages).hasSize(1);
    }

    @Test
    void rendersAVeryLongMessage() {
        String text = "0123456789 ".repeat(1_000_000);
        ChatTemplate template = ChatTemplate.of(
                "{% for m in messages %}{{ '<' + m.content|trim + '>' }}{{ m.content|length }}{% endfor %}", Map.of());
        assertThat(template.render(List.of(Map.of("role", "user", "content", text)), null, true, Map.of()))
                .isEqualTo("<" + text.strip() + ">11000000");
    }

    @ParameterizedTest
    @Timeout(30)
    @ValueSource(
            strings = {
                "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
                "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
                "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
                "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
                "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
                "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
                "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}{{ ns.s }}",
                "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}"
                        + "{{ ns.s|tojson }}",
                "{% set ns = namespace(s=[1]) %}{% for i in range(99) %}{% set ns.s = [ns.s, ns.s] %}{% endfor %}"
                        + "{% set nt = namespace(s=[1]) %}{% for i in range(99) %}{% set nt.s = [nt.s, nt.s] %}"
                        + "{% endfor %}{{ ns.s == nt.s }}",
                "{% set ns = namespace(s=[1]) %}{% for i in range(99999) %}{% set ns.s = [ns.s] %}{% endfor %}{{ ns.s }}",
                "{{ 'a' * 9999999999 }}",
                "{{ [1] * 9999999999 }}",
                "{{ 'a'|indent(9999999999) }}",
                "{{ 'a'.zfill(9999999999) }}",
                "{{ [1]|tojson(indent=9999999999) }}",
                "{{ range(9999999999) }}",
                "{{ 9 ** 9 ** 9 ** 9 }}",
                "{{ 2 ** 9999999999 }}",
            })
    void hostileTemplatesEnd(String source) {
        ChatTemplate template = ChatTemplate.of(source, Map.of());
        assertThatThrownBy(() -> template.render(HELLO, null, true, Map.of())).isInstanceOf(DuoException.class);
    }

    @Test
    @Timeout(30)
    void hostileSourceEnds() throws InterruptedException {
        List<String> sources = List.of(
                "{{ " + "(".repeat(20_000) + " }}",
                "{{ " + "[".repeat(20_000),
                "{{ " + "-".repeat(20_000) + "1 }}",
                "{{ " + "not ".repeat(20_000) + "1 }}",
                "{{ 1" + " if 1 else 1".repeat(20_000) + " }}",
                "{{ x" + ".a".repeat(20_000) + " }}",
                "{{ 1" + "+1".repeat(20_000) + " }}",
                "{{ x" + "|trim".repeat(20_000) + " }}",
                "{% if 1 %}".repeat(10_000),
                "{#".repeat(20_000),
                "{% set (" + "(".repeat(20_000));
        List<Throwable> thrown = new ArrayList<>();
        // A small stack, as threads of a server may have.
        Thread thread =
                new Thread(null, () -> sources.forEach(source -> thrown.add(failure(source))), "small", 512 << 10);
        thread.start();
        thread.join();
        assertThat(thrown).hasSize(sources.size()).allMatch(DuoException.class::isInstance);
    }

    private static Throwable failure(String source) {
        try {
            ChatTemplate.of(source, Map.of()).render(HELLO, null, true, Map.of());
            return new AssertionError("rendered");
        } catch (RuntimeException | StackOverflowError e) {
            return e;
        }
    }

    private void config(Map<String, ?> values) throws IOException {
        Files.writeString(
                directory.resolve("tokenizer_config.json"), JsonMapper.shared().writeValueAsString(values));
    }
}
