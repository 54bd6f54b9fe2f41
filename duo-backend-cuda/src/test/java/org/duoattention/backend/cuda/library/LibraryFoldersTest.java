package org.duoattention.backend.cuda.library;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.duoattention.backend.cuda.Fakes;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LibraryFoldersTest {
    @TempDir
    private Path root;

    private Path folder(String name) throws IOException {
        return Files.createDirectories(root.resolve(name));
    }

    @Test
    void listsChosenFoldersFirstThenThoseOfTheEnvironment() throws IOException {
        Path chosen = folder("chosen");
        Path one = folder("one");
        Path two = folder("two");
        Path toolkit = folder("toolkit/lib64");
        Path python = folder("venv/lib/python3.12/site-packages/nvidia/cublas/lib");
        Path cuda13 = folder("venv/lib/python3.12/site-packages/nvidia/cu13/lib");

        List<Path> folders = LibraryFolders.of(
                chosen.toString(),
                Map.of(
                        "LD_LIBRARY_PATH", one + File.pathSeparator + File.pathSeparator + two,
                        "VIRTUAL_ENV", root.resolve("venv").toString(),
                        "CUDA_HOME", root.resolve("toolkit").toString()));

        assertThat(folders).containsSubsequence(chosen, one, two, cuda13, python, toolkit);
        assertThat(folders).doesNotHaveDuplicates().allMatch(Files::isDirectory);
    }

    @Test
    void looksIntoPythonPackagesBelowAFolderOfThePath() throws IOException {
        Path libraries = folder("site-packages/nvidia/cuda_nvrtc/lib");

        assertThat(LibraryFolders.of(
                        null,
                        Map.of("LD_LIBRARY_PATH", root.resolve("site-packages").toString())))
                .contains(libraries);
    }

    @Test
    void findsNothingInAnEmptyEnvironment() {
        assertThat(LibraryFolders.of(null, Map.of())).allMatch(folder -> folder.startsWith("/usr/local/cuda"));
        assertThat(NativeLibrary.find(List.of(root), "libduo-no-such.so.1")).isEmpty();
    }

    @Test
    void loadsTheFirstNameThatThereIs() {
        Fakes.library("nvrtc.cpp", root.resolve("libduo-stand-in.so.12"));

        NativeLibrary library = NativeLibrary.find(List.of(root), "libduo-stand-in.so.13", "libduo-stand-in.so.12")
                .orElseThrow();

        assertThat(library.name()).isEqualTo("libduo-stand-in.so.12");
        assertThat(library.file()).contains(root.resolve("libduo-stand-in.so.12"));
        assertThat(library.missing(List.of("nvrtcVersion", "nvrtcNothing"))).containsExactly("nvrtcNothing");
    }
}
