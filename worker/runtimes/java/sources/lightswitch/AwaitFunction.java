package lightswitch;

import com.amazonaws.services.lambda.runtime.api.client.AWSLambda;
import java.io.BufferedInputStream;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.lang.reflect.Constructor;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A generic process of Java: loads AWS's client, waits for its function, then runs the client's own main method as a
 * plain start does. Arguments: our native library, a file that names classes to load ahead,
 * a directory with a class like a function's.
 * The descriptors and the assignment are described in worker/sandbox/generic_process.py.
 */
public final class AwaitFunction {
    private static final int ASSIGNMENT = 3;
    private static final int READINESS = 4;
    private static final int POINTER_BYTES = 8;

    /** The C library goes on reading it. */
    private static ByteBuffer environment;

    private AwaitFunction() {}

    public static void main(String[] arguments) throws Throwable {
        System.load(arguments[0]);
        Preparation.run(Path.of(arguments[1]), Path.of(arguments[2]));
        byte[] assignment;
        try (FileInputStream assigned = new FileInputStream(descriptor(ASSIGNMENT));
                FileOutputStream readiness = new FileOutputStream(descriptor(READINESS))) {
            readiness.write('r');
            assignment = new BufferedInputStream(assigned).readAllBytes();
            if (assignment.length == 0) {
                System.exit(0);
            }
            readiness.write('t');
        }
        enter(assignment);
        AWSLambda.main(new String[] {System.getenv("_HANDLER")});
    }

    /**
     * Nobody has asked Java for an environment variable yet: it will read them where the C library keeps them, as
     * will native libraries and child processes.
     */
    private static void enter(byte[] assignment) {
        List<byte[]> variables = split(assignment);
        int pointers = (variables.size() + 1) * POINTER_BYTES;
        environment = ByteBuffer.allocateDirect(pointers + assignment.length).order(ByteOrder.nativeOrder());
        long start = address(environment);
        long place = start + pointers;
        for (byte[] variable : variables) {
            environment.putLong(place);
            place += variable.length;
        }
        environment.putLong(0);
        environment.put(assignment);
        setEnvironment(start);
        changeDirectory(start + pointers + valueOf(assignment, "LAMBDA_TASK_ROOT="));
    }

    /** Each with the NUL that ends it. */
    private static List<byte[]> split(byte[] assignment) {
        List<byte[]> variables = new ArrayList<>();
        int start = 0;
        for (int place = 0; place < assignment.length; place++) {
            if (assignment[place] == 0) {
                variables.add(Arrays.copyOfRange(assignment, start, place + 1));
                start = place + 1;
            }
        }
        return variables;
    }

    /** Where in the assignment the value of a variable starts; the name ends with its equals sign. */
    private static int valueOf(byte[] assignment, String name) {
        int place = 0;
        for (byte[] variable : split(assignment)) {
            if (new String(variable).startsWith(name)) {
                return place + name.length();
            }
            place += variable.length;
        }
        throw new IllegalArgumentException("the assignment lacks " + name);
    }

    private static FileDescriptor descriptor(int number) {
        try {
            // Opened for us on the command line, as Lambda does for its client.
            Constructor<FileDescriptor> constructor = FileDescriptor.class.getDeclaredConstructor(int.class);
            constructor.setAccessible(true);
            return constructor.newInstance(number);
        } catch (ReflectiveOperationException error) {
            throw new IllegalStateException("descriptor " + number + " cannot be used", error);
        }
    }

    /** Of the memory of a direct buffer. */
    private static native long address(ByteBuffer buffer);

    /** Make `environ` point to an array of pointers to strings, ended by a zero pointer. */
    private static native void setEnvironment(long array);

    /** To the directory whose name is the string at an address; not zero where there is none. */
    private static native long changeDirectory(long name);
}
