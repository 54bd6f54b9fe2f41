// Stands for libnvrtc: "compiles" by writing down what it was given, and refuses sources that contain the word "wrong".
#include <cstring>
#include <string>

namespace {
struct Program {
    std::string source, name, headers, image, log;
};
int text(const std::string& from, char* to) {
    std::memcpy(to, from.data(), from.size());
    return 0;
}
}  // namespace

extern "C" {
int nvrtcVersion(int* major, int* minor) {
    *major = 12;
    *minor = 6;
    return 0;
}

int nvrtcCreateProgram(void** program, const char* source, const char* name, int count, const char* const* texts,
                       const char* const* names) {
    auto* made = new Program{source, name, "", "", ""};
    for (int i = 0; i < count; i++) {
        made->headers += std::string(names[i]) + "=" + texts[i] + ";";
    }
    *program = made;
    return 0;
}

int nvrtcCompileProgram(void* program, int count, const char* const* options) {
    auto* p = static_cast<Program*>(program);
    if (p->source.find("wrong") != std::string::npos) {
        p->log = p->name + "(1): error: identifier \"wrong\" is undefined";
        return 6;
    }
    p->image = p->name + "|" + p->source + "|" + p->headers;
    for (int i = 0; i < count; i++) {
        p->image += std::string("|") + options[i];
    }
    return 0;
}

int nvrtcGetCUBINSize(void* program, size_t* size) {
    *size = static_cast<Program*>(program)->image.size();
    return 0;
}

int nvrtcGetCUBIN(void* program, char* image) { return text(static_cast<Program*>(program)->image, image); }

int nvrtcGetProgramLogSize(void* program, size_t* size) {
    *size = static_cast<Program*>(program)->log.size() + 1;
    return 0;
}

int nvrtcGetProgramLog(void* program, char* log) {
    auto* p = static_cast<Program*>(program);
    log[p->log.size()] = 0;
    return text(p->log, log);
}

int nvrtcDestroyProgram(void** program) {
    delete static_cast<Program*>(*program);
    *program = nullptr;
    return 0;
}
}
