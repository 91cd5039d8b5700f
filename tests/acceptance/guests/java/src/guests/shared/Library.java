package guests.shared;

/** Comes in a layer. */
public class Library {
    public static String version() {
        return "7";
    }
}
