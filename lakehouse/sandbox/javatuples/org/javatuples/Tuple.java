package org.javatuples;

import java.util.Arrays;
import java.util.Collections;
import java.util.Iterator;
import java.util.List;

/** What the tuples here share: a fixed number of values, equal if class and values are equal. */
public abstract class Tuple implements Iterable<Object>, Comparable<Tuple> {
    private final List<Object> values;

    protected Tuple(Object... values) {
        this.values = Collections.unmodifiableList(Arrays.asList(values));
    }

    public int getSize() {
        return values.size();
    }

    public Object getValue(int position) {
        return values.get(position);
    }

    public boolean contains(Object value) {
        return values.contains(value);
    }

    public int indexOf(Object value) {
        return values.indexOf(value);
    }

    public List<Object> toList() {
        return values;
    }

    public Object[] toArray() {
        return values.toArray();
    }

    @Override
    public Iterator<Object> iterator() {
        return values.iterator();
    }

    @Override
    public String toString() {
        return values.toString();
    }

    @Override
    public int hashCode() {
        return values.hashCode();
    }

    @Override
    public boolean equals(Object other) {
        return other != null && getClass() == other.getClass() && values.equals(((Tuple) other).values);
    }

    /** Value by value, then the shorter first. */
    @Override
    @SuppressWarnings({"unchecked", "rawtypes"})
    public int compareTo(Tuple other) {
        for (int i = 0; i < Math.min(getSize(), other.getSize()); i++) {
            int order = ((Comparable) getValue(i)).compareTo(other.getValue(i));
            if (order != 0) {
                return order;
            }
        }
        return Integer.compare(getSize(), other.getSize());
    }
}
