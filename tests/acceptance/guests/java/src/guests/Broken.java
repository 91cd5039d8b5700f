package guests;

/** Cannot be made. */
public class Broken {
    public Broken() {
        throw new IllegalStateException("broken on purpose");
    }

    public String serve() {
        return "never";
    }
}
